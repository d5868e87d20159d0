//! What live capture asks of the kernel: packet sockets (packet(7)) and the ring they share with
//! us (TPACKET_V3).

#![allow(unsafe_code)]

use std::{
    ffi::CStr,
    fs::File,
    io,
    mem::{self, offset_of},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use libc::{c_int, c_void, tpacket_hdr_v1, tpacket3_hdr};

use crate::filter::Insn;

/// Bytes of a block of the ring: frames of up to 64 KiB (GSO) and more must fit in. Small, and handed over soon
/// ([`super::LiveConfig::block_timeout`]), since what is done with a block at once keeps a processor from the host's own
/// work for as long.
pub(super) const BLOCK: usize = 256 << 10;
/// Bytes kept free before each frame, for a VLAN tag to be put back.
pub(super) const RESERVE: usize = 4;

/// Where a block's own header begins, behind version and private offset.
const BLOCK_HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);
const BLOCK_STATUS: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, block_status);
const BLOCK_FRAMES: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
const BLOCK_FIRST: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
/// Where the address stands behind a frame's header.
const ADDRESS: usize = mem::size_of::<tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);

/// A packet socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
}

/// What the kernel counted since it was asked last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) received: u64,
    pub(super) dropped: u64,
    pub(super) freezes: u64,
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

impl Socket {
    /// A socket that receives nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are involved.
        let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let socket = Self {
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        };
        // has the kernel stamp each packet once for all who look, instead of when it reaches a socket
        socket.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
        Ok(socket)
    }

    #[cfg(test)]
    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(super) fn raw(&self) -> c_int {
        self.fd.as_raw_fd()
    }

    fn set<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let len = mem::size_of::<T>() as libc::socklen_t;
        // SAFETY: the pointer and the length describe `value`, which the call only reads.
        checked(unsafe {
            libc::setsockopt(self.raw(), level, option, ptr::from_ref(value).cast(), len)
        })?;
        Ok(())
    }

    fn get<T: Copy>(&self, level: c_int, option: c_int, zero: T) -> io::Result<T> {
        let mut value = zero;
        let mut len = mem::size_of::<T>() as libc::socklen_t;
        // SAFETY: the pointer and the length describe `value`; T is one of the plain structs of
        // numbers that this module asks for, valid whatever is written into it.
        checked(unsafe {
            libc::getsockopt(
                self.raw(),
                level,
                option,
                ptr::from_mut(&mut value).cast(),
                &mut len,
            )
        })?;
        Ok(value)
    }

    /// Has the kernel run a program on each frame before it is queued.
    pub(super) fn filter(&self, program: &[Insn]) -> io::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // Insn is laid out as struct sock_filter; the kernel copies the program
        let program = libc::sock_fprog {
            len,
            filter: program.as_ptr().cast_mut().cast(),
        };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Has the kernel make a ring of so many blocks, and maps it. A block that is not full is
    /// handed over after `timeout`.
    pub(super) fn ring(&self, blocks: usize, timeout: Duration) -> io::Result<KernelRing> {
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        self.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &(RESERVE as c_int))?;
        // frames of this version have no fixed size; the numbers must only agree
        let frame = 1 << 11;
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: u32::try_from(blocks).map_err(invalid)?,
            tp_frame_size: frame as u32,
            tp_frame_nr: u32::try_from(blocks.saturating_mul(BLOCK / frame)).map_err(invalid)?,
            tp_retire_blk_tov: u32::try_from(timeout.as_millis()).map_err(invalid)?.max(1),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let len = blocks * BLOCK;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.raw(),
                0,
            )
        };
        let base = NonNull::new(at.cast::<u8>()).filter(|_| at != libc::MAP_FAILED);
        let base = base.ok_or_else(io::Error::last_os_error)?;
        Ok(KernelRing {
            base,
            blocks,
            next: 0,
        })
    }

    /// Receives what an interface (0: all) sends and receives from now on.
    pub(super) fn bind(&self, ifindex: u32) -> io::Result<()> {
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = c_int::try_from(ifindex).map_err(|_| io::ErrorKind::InvalidInput)?;
        let len = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the pointer and the length describe `address`.
        checked(unsafe { libc::bind(self.raw(), ptr::from_ref(&address).cast(), len) })?;
        Ok(())
    }

    /// What the kernel counted since it was asked last.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        let zero = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let got = self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, zero)?;
        Ok(Counted {
            received: u64::from(got.tp_packets),
            dropped: u64::from(got.tp_drops),
            freezes: u64::from(got.tp_freeze_q_cnt),
        })
    }

    /// The error that is pending on the socket, 0 for none; it is taken by asking.
    pub(super) fn pending_error(&self) -> c_int {
        self.get(libc::SOL_SOCKET, libc::SO_ERROR, 0).unwrap_or(0)
    }

    /// The number of an interface by its name, in the socket's namespace.
    pub(super) fn index_of(&self, name: &str) -> io::Result<u32> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: this request fills in the index.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        u32::try_from(index).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Whether an interface is up.
    pub(super) fn is_up(&self, name: &str) -> io::Result<bool> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: this request fills in the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        Ok(c_int::from(flags) & libc::IFF_UP != 0)
    }

    /// The name of an interface by its number.
    pub(super) fn name_of(&self, index: u32) -> io::Result<String> {
        let mut request = request("")?;
        request.ifr_ifru.ifru_ifindex =
            c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.ioctl(libc::SIOCGIFNAME, &mut request)?;
        let name: Vec<u8> = request
            .ifr_name
            .iter()
            .map(|c| *c as u8)
            .take_while(|c| *c != 0)
            .collect();
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    fn ioctl(&self, what: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: all requests used here take a struct ifreq, which is valid for reads and writes.
        checked(unsafe { libc::ioctl(self.raw(), what as _, ptr::from_mut(request)) })?;
        Ok(())
    }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // one byte is left for the end mark
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// The names of all interfaces of the calling thread's namespace.
pub(super) fn names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the list ends with an entry whose name is null, and is freed once, after its last use.
    unsafe {
        let list = libc::if_nameindex();
        let mut entry = list;
        while !entry.is_null() && !(*entry).if_name.is_null() {
            names.push(
                CStr::from_ptr((*entry).if_name)
                    .to_string_lossy()
                    .into_owned(),
            );
            entry = entry.add(1);
        }
        if !list.is_null() {
            libc::if_freenameindex(list);
        }
    }
    names
}

/// Moves the calling thread into a network namespace.
pub(super) fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; only the calling thread is moved.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Waits until one of the sockets has something to say, or the time is over. Tells which have an
/// error. A negative descriptor is passed over.
pub(super) fn wait(
    sockets: impl Iterator<Item = c_int>,
    timeout: Duration,
) -> io::Result<Vec<bool>> {
    let polled = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polled: Vec<libc::pollfd> = sockets.map(polled).collect();
    let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the pointer and the length describe `polled`.
    match checked(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) })
    {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(polled
            .iter()
            .map(|one| one.revents & (libc::POLLERR | libc::POLLNVAL) != 0)
            .collect()),
    }
}

/// The ring of blocks that the kernel writes and we read, in turns.
#[derive(Debug)]
pub(super) struct KernelRing {
    base: NonNull<u8>,
    blocks: usize,
    /// The block that is read next.
    next: usize,
}

// SAFETY: the mapping has no thread affinity, and this is its only user on this side.
unsafe impl Send for KernelRing {}

impl KernelRing {
    fn status(&self, block: usize) -> &AtomicU32 {
        let at = block % self.blocks * BLOCK + BLOCK_STATUS;
        // SAFETY: the block is one of `blocks`, so this lies in the mapping; the field is aligned to
        // 4 bytes, lives as long as the mapping, and is shared with the kernel, hence atomic.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    fn is_ours(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Whether the next block is ours.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ours(self.next)
    }

    /// Whether the block behind the next one is ours too.
    pub(super) fn is_behind(&self) -> bool {
        self.is_ours(self.next + 1)
    }

    /// The next block, where it is ours.
    pub(super) fn block(&mut self) -> Option<&mut [u8]> {
        if !self.is_ready() {
            return None;
        }
        // SAFETY: the block lies in the mapping, and the kernel does not touch it until `release`,
        // which needs `self` again.
        Some(unsafe { slice::from_raw_parts_mut(self.base.as_ptr().add(self.next * BLOCK), BLOCK) })
    }

    /// Gives the block back and goes on to the next one.
    pub(super) fn release(&mut self) {
        self.status(self.next)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
    }
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast::<c_void>(), self.blocks * BLOCK) };
    }
}

/// How many frames a block holds, and where the first is.
pub(super) fn frames_of(block: &[u8]) -> (u32, usize) {
    (word(block, BLOCK_FRAMES), word(block, BLOCK_FIRST) as usize)
}

/// A frame's header in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// From this header to the next; 0 at the last.
    pub(super) next: usize,
    pub(super) ts: i64,
    pub(super) len: usize,
    pub(super) wire_len: u32,
    /// From the block's start to the link's header, and to the network's.
    pub(super) link: usize,
    pub(super) network: usize,
    /// A VLAN tag that is not in the frame: its type and its content.
    pub(super) tag: Option<(u16, u16)>,
    pub(super) ifindex: u32,
    pub(super) protocol: u16,
    pub(super) hatype: u16,
    pub(super) outgoing: bool,
}

impl Header {
    /// The header at `at` in a block; `None` where it or its frame is not inside.
    pub(super) fn read(block: &[u8], at: usize) -> Option<Self> {
        let header =
            block.get(at..at.checked_add(ADDRESS + mem::size_of::<libc::sockaddr_ll>())?)?;
        let address = header.get(ADDRESS..)?;
        let status = word(header, offset_of!(tpacket3_hdr, tp_status));
        let link = at + usize::from(half(header, offset_of!(tpacket3_hdr, tp_mac)));
        let len = word(header, offset_of!(tpacket3_hdr, tp_snaplen)) as usize;
        block.get(link..link.checked_add(len)?)?;
        let variant = offset_of!(tpacket3_hdr, hv1);
        let tag = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
            let kind = half(
                header,
                variant + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid),
            );
            let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let content = word(
                header,
                variant + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci),
            );
            (
                if known {
                    kind
                } else {
                    libc::ETH_P_8021Q as u16
                },
                content as u16,
            )
        });
        let seconds = i64::from(word(header, offset_of!(tpacket3_hdr, tp_sec)));
        let nanos = i64::from(word(header, offset_of!(tpacket3_hdr, tp_nsec)));
        Some(Self {
            next: word(header, offset_of!(tpacket3_hdr, tp_next_offset)) as usize,
            ts: seconds * 1_000_000_000 + nanos,
            len,
            wire_len: word(header, offset_of!(tpacket3_hdr, tp_len)),
            link,
            network: at + usize::from(half(header, offset_of!(tpacket3_hdr, tp_net))),
            tag,
            ifindex: word(address, offset_of!(libc::sockaddr_ll, sll_ifindex)),
            protocol: u16::from_be(half(address, offset_of!(libc::sockaddr_ll, sll_protocol))),
            hatype: half(address, offset_of!(libc::sockaddr_ll, sll_hatype)),
            outgoing: address.get(offset_of!(libc::sockaddr_ll, sll_pkttype))
                == Some(&libc::PACKET_OUTGOING),
        })
    }
}

/// A number in the machine's order; 0 beyond the end, which callers have ruled out.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<4>)
        .map_or(0, |raw| u32::from_ne_bytes(*raw))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<2>)
        .map_or(0, |raw| u16::from_ne_bytes(*raw))
}
