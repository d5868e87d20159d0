//! The interfaces of a source: those of all its files, numbered in one row.

use std::collections::HashMap;

use crate::Interface;

/// The most interfaces of a source.
pub(crate) const MAX_INTERFACES: u32 = 16_384;
/// Bytes kept of a name or a description.
const MAX_TEXT: usize = 256;

/// All interfaces met so far. Those that look the same in several files or sections are one: the
/// n-th that looks so in one section is the n-th that looked so in another.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    list: Vec<Interface>,
    alike: HashMap<Interface, Vec<u32>>,
}

/// How many interfaces of each look a section has had, by the number of the first that looks so.
pub(crate) type Taken = HashMap<u32, usize>;

impl Interfaces {
    pub(crate) fn list(&self) -> &[Interface] {
        &self.list
    }

    /// The number of an interface of a section; `None` above the limit.
    pub(crate) fn number(&mut self, interface: Interface, taken: &mut Taken) -> Option<u32> {
        let alike = self.alike.entry(interface).or_insert_with_key(|interface| {
            self.list.push(interface.clone());
            vec![self.list.len() as u32 - 1]
        });
        let nth = taken.entry(*alike.first()?).or_default();
        let number = match alike.get(*nth) {
            Some(number) => *number,
            None => {
                self.list
                    .push(self.list.get(*alike.first()? as usize)?.clone());
                let number = self.list.len() as u32 - 1;
                alike.push(number);
                number
            }
        };
        *nth += 1;
        (number < MAX_INTERFACES).then_some(number)
    }
}

/// Text of an option, without the end marks that some writers leave, cut to a sane length.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\0');
    text.get(..text.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkType;

    fn named(name: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            link: LinkType::Ethernet,
            description: String::new(),
            snaplen: 0,
        }
    }

    #[test]
    fn the_same_interface_in_two_files_is_one_and_two_alike_in_one_section_are_two() {
        let mut all = Interfaces::default();
        let mut first = Taken::new();
        assert_eq!(all.number(named("a"), &mut first), Some(0));
        assert_eq!(all.number(named("b"), &mut first), Some(1));
        assert_eq!(all.number(named("a"), &mut first), Some(2));
        let mut second = Taken::new();
        assert_eq!(all.number(named("b"), &mut second), Some(1));
        assert_eq!(all.number(named("a"), &mut second), Some(0));
        assert_eq!(all.number(named("a"), &mut second), Some(2));
        assert_eq!(all.list().len(), 3);
    }

    #[test]
    fn interfaces_are_limited() {
        let mut all = Interfaces::default();
        let mut taken = Taken::new();
        for _ in 0..MAX_INTERFACES {
            assert!(all.number(named(""), &mut taken).is_some());
        }
        assert!(all.number(named(""), &mut taken).is_none());
    }
}
