//! One packet is one packet: which sighting of it counts.
//!
//! A host shows a packet several times: on loopback going out and coming in, on all interfaces at once at the veth
//! pair, the bridge and the uplink. Each direction of a flow has a *home*, the place (interface and direction)
//! where it was seen first; what the same direction shows elsewhere is a copy. A route may change, or the home go
//! away; then the flow must go on in its new place, and nothing that only the new place shows may be taken for a
//! copy. So a sighting elsewhere moves the home at once
//!
//! - of TCP, where it ends beyond every byte seen so far: no copy can;
//! - of UDP, where one other place has shown more datagrams than the home has since both were first seen;
//! - of both, where the home has been silent for a second: copies are microseconds behind.
//!
//! Where capture only put two places out of order, the sighting at the old home follows, is elsewhere now, brings
//! nothing new, and is the copy; so the count stays exact either way.

use crate::Dir;
use crate::decode::Place;

/// The transports that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
}

/// What a sighting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The packet itself.
    First,
    /// The packet itself, in a place that is its direction's home from now on.
    Moved,
    /// A copy of it.
    Copy,
}

/// The homes of both directions.
///
/// When a home was last seen is kept in units of 2^27 ns (0.13 s) modulo 256, which is 34 s. What is older may look
/// younger, and then waits for the next packet; it never looks silent where it is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Homes {
    place: [Place; 2],
    at: [u8; 2],
}

/// Units of [`Homes`] that make a second.
const SILENT: u8 = 8;

fn stamp(coarse: u32) -> u8 {
    (coarse >> 7) as u8
}

impl Default for Homes {
    fn default() -> Self {
        Homes {
            place: [Place::NONE; 2],
            at: [0; 2],
        }
    }
}

impl Homes {
    /// Whether a direction's packet was seen at its home; the first one seen makes the home.
    #[inline(always)]
    pub(crate) fn at_home(&mut self, dir: Dir, place: Place, coarse: u32) -> bool {
        let home = &mut self.place[dir as usize];
        if *home == Place::NONE {
            *home = place;
        }
        let here = *home == place;
        if here {
            self.at[dir as usize] = stamp(coarse);
        }
        here
    }

    /// Whether a direction was seen at all.
    #[inline]
    pub(crate) fn known(&self, dir: Dir) -> bool {
        self.place[dir as usize] != Place::NONE
    }

    /// Whether a direction's home has been silent for a second.
    pub(crate) fn silent(&self, dir: Dir, coarse: u32) -> bool {
        stamp(coarse).wrapping_sub(self.at[dir as usize]) > SILENT
    }

    /// Makes a place the home of a direction; gives the old one.
    pub(crate) fn move_to(&mut self, dir: Dir, place: Place, coarse: u32) -> Place {
        self.at[dir as usize] = stamp(coarse);
        std::mem::replace(&mut self.place[dir as usize], place)
    }
}

/// What is kept of a UDP flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Udp {
    homes: Homes,
    /// Of each direction, the place beside its home that is watched.
    other: [Place; 2],
    /// Of each direction, how many datagrams more that place has shown than the home has.
    ahead: [i16; 2],
}

impl Default for Udp {
    fn default() -> Self {
        Udp {
            homes: Homes::default(),
            other: [Place::NONE; 2],
            ahead: [0; 2],
        }
    }
}

impl Udp {
    /// How far a watched place may be behind: past that (it missed some) only silence moves the home.
    const BEHIND: i16 = -4096;

    /// Takes a sighting of a datagram.
    #[inline]
    pub(crate) fn seen(&mut self, dir: Dir, place: Place, coarse: u32) -> Seen {
        if self.at_home(dir, place, coarse) {
            return Seen::First;
        }
        self.elsewhere(dir, place, coarse)
    }

    /// Takes a sighting of a datagram where it is at the home of its direction.
    #[inline(always)]
    pub(crate) fn at_home(&mut self, dir: Dir, place: Place, coarse: u32) -> bool {
        let here = self.homes.at_home(dir, place, coarse);
        if here {
            let ahead = &mut self.ahead[dir as usize];
            *ahead = (*ahead - 1).max(Self::BEHIND);
        }
        here
    }

    fn elsewhere(&mut self, dir: Dir, place: Place, coarse: u32) -> Seen {
        let silent = self.homes.silent(dir, coarse);
        let (other, ahead) = (&mut self.other[dir as usize], &mut self.ahead[dir as usize]);
        if *other == Place::NONE {
            *other = place;
        }
        if *other == place {
            *ahead = ahead.saturating_add(1);
        }
        let more = *other == place && *ahead > 0;
        if !more && !silent {
            return Seen::Copy;
        }
        // the old home owes its copy of this one
        *ahead = -1;
        *other = self.homes.move_to(dir, place, coarse);
        Seen::Moved
    }
}

#[cfg(test)]
mod tests {
    use gillnet_capture::PacketDirection::{In, Out, Unknown};

    use super::*;

    /// One unit of `at` more than a second.
    const SECOND: u32 = (SILENT as u32 + 1) << 7;

    /// Sightings of one direction as (place, coarse time, what it must be).
    #[track_caller]
    fn check(sightings: &[(Place, u32, Seen)]) {
        let mut udp = Udp::default();
        for (i, (place, at, expected)) in sightings.iter().enumerate() {
            assert_eq!(udp.seen(Dir::Up, *place, *at), *expected, "sighting {i}");
        }
    }

    #[test]
    fn copies_of_datagrams() {
        use Seen::{Copy, First, Moved};
        let (a, b, c) = (
            Place::new(1, Out),
            Place::new(1, In),
            Place::new(2, Unknown),
        );
        // out and in; in batches; at three places
        check(&[(a, 0, First), (b, 0, Copy), (a, 0, First), (b, 0, Copy)]);
        check(&[
            (a, 0, First),
            (a, 0, First),
            (a, 0, First),
            (b, 0, Copy),
            (b, 0, Copy),
            (b, 0, Copy),
        ]);
        check(&[
            (a, 0, First),
            (b, 0, Copy),
            (c, 0, Copy),
            (a, 0, First),
            (c, 0, Copy),
            (b, 0, Copy),
        ]);
        // the second datagram is seen elsewhere first: each counts once
        check(&[
            (a, 0, First),
            (b, 0, Copy),
            (b, 0, Moved),
            (a, 0, Copy),
            (b, 0, First),
            (a, 0, Copy),
        ]);
        // the home goes away
        check(&[
            (a, 0, First),
            (b, 0, Copy),
            (b, 1, Moved),
            (b, 2, First),
            (b, 3, First),
        ]);
        // a place that was not watched takes over after a second
        check(&[
            (a, 0, First),
            (b, 0, Copy),
            (c, 9, Copy),
            (c, SECOND, Moved),
            (c, SECOND, First),
        ]);
        // the watched place lost some; the home goes away
        check(&[
            (a, 0, First),
            (b, 0, Copy),
            (a, 0, First),
            (b, 9, Copy),
            (b, SECOND, Moved),
        ]);
    }

    #[test]
    fn directions_have_their_own_home() {
        let mut udp = Udp::default();
        let (a, b) = (Place::new(1, In), Place::new(2, In));
        assert_eq!(udp.seen(Dir::Up, a, 0), Seen::First);
        assert_eq!(udp.seen(Dir::Up, b, 0), Seen::Copy);
        assert_eq!(udp.seen(Dir::Down, b, 0), Seen::First);
        assert_eq!(udp.seen(Dir::Down, a, 0), Seen::Copy);
    }
}
