//! The interfaces that frames were seen on, and what their frames begin with.

use std::collections::HashMap;

use super::kernel::{Header, Socket};
use crate::{Interface, LinkType};

/// Interfaces with a number of their own. On a node they come and go with pods; those beyond
/// share one for each link type.
const MAX_INTERFACES: usize = 65_536;
/// Name of what shares a number.
const OTHERS: &str = "others";
/// Interfaces that are remembered by the kernel's number.
const MAX_REMEMBERED: usize = 4096;

/// What is known of the interface of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Its number in the source.
    pub(super) number: u32,
    pub(super) link: LinkType,
}

/// An interface as the kernel calls it: its number and its hardware type.
type Key = (u32, u16);

/// All interfaces met so far. One that comes back under its name has the number it had.
#[derive(Debug)]
pub(super) struct Table {
    list: Vec<Interface>,
    by_name: HashMap<(String, LinkType), u32>,
    by_key: HashMap<Key, Known>,
    last: Option<(Key, Known)>,
    snaplen: u32,
}

impl Table {
    pub(super) fn new(snaplen: u32) -> Self {
        Self {
            list: Vec::new(),
            by_name: HashMap::new(),
            by_key: HashMap::new(),
            last: None,
            snaplen,
        }
    }

    pub(super) fn list(&self) -> &[Interface] {
        &self.list
    }

    /// Forgets what the kernel's numbers stand for; names are asked for again.
    pub(super) fn forget(&mut self) {
        self.by_key.clear();
        self.last = None;
    }

    /// The interface of a frame, and whether it is met for the first time.
    #[inline]
    pub(super) fn interface(&mut self, socket: &Socket, header: &Header) -> (Known, bool) {
        let key = (header.ifindex, header.hatype);
        match self.last {
            Some((last, known)) if last == key => (known, false),
            _ => self.look_up(socket, key),
        }
    }

    #[cold]
    fn look_up(&mut self, socket: &Socket, key: Key) -> (Known, bool) {
        let before = self.list.len();
        let known = match self.by_key.get(&key) {
            Some(known) => *known,
            None => self.name(socket, key),
        };
        self.last = Some((key, known));
        (known, self.list.len() > before)
    }

    fn name(&mut self, socket: &Socket, key: Key) -> Known {
        let (index, hatype) = key;
        let link = link_of(hatype);
        // it may be gone already
        let mut name = socket
            .name_of(index)
            .unwrap_or_else(|_| format!("if{index}"));
        if self.list.len() >= MAX_INTERFACES && !self.by_name.contains_key(&(name.clone(), link)) {
            OTHERS.clone_into(&mut name);
        }
        let snaplen = self.snaplen;
        let number = *self
            .by_name
            .entry((name, link))
            .or_insert_with_key(|(name, _)| {
                let interface = Interface {
                    name: name.clone(),
                    link,
                    description: String::new(),
                    snaplen,
                };
                self.list.push(interface);
                self.list.len() as u32 - 1
            });
        if self.by_key.len() >= MAX_REMEMBERED {
            self.by_key.clear();
        }
        let known = Known { number, link };
        self.by_key.insert(key, known);
        known
    }
}

/// What frames of a hardware type (ARPHRD, if_arp.h) are delivered as. Of those that are not
/// listed only IP packets are, without whatever stands before them.
fn link_of(hatype: u16) -> LinkType {
    match hatype {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkType::Ethernet,
        libc::ARPHRD_CAN => LinkType::Other(227),
        libc::ARPHRD_IEEE80211 => LinkType::Other(105),
        libc::ARPHRD_IEEE80211_PRISM => LinkType::Other(119),
        libc::ARPHRD_IEEE80211_RADIOTAP => LinkType::Other(127),
        824 => LinkType::Other(253), // netlink
        _ => LinkType::Raw,
    }
}
