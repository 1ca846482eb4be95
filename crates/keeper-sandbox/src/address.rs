//! The addresses of a sandbox: every pod and every Service gets one of its own.
//!
//! On Linux all of 127.0.0.0/8 is this machine, so a sandbox takes a /16 of it and needs no rights. A real API server refuses
//! loopback addresses in EndpointSlices; there a block is named that the machine was given before, as 10.250.0.0/16.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

/// The port on the block's last address that a sandbox holds to say that the block is taken.
const CLAIM_PORT: u16 = 20_255;
/// Pods have the lower half of a block, Services the upper.
const POD_ADDRESSES: u32 = 127 * 254;

/// A /16 of addresses: `a.b.1.1` to `a.b.127.254` are for pods, `a.b.128.0/17` is for Services.
#[derive(Debug)]
pub struct AddressBlock {
    first: u8,
    second: u8,
    next: AtomicU32,
    /// Held for as long as the block is used.
    _claim: Option<TcpListener>,
}

impl AddressBlock {
    /// Takes a 127.x.0.0/16 that no other sandbox on this machine has.
    ///
    /// # Errors
    ///
    /// When all of them are taken, or the system lets no socket be bound to 127.x.y.z (other than Linux). A retry helps once
    /// another sandbox has ended.
    pub fn claim_loopback() -> io::Result<Self> {
        let start = rand::random_range(0..253_u8);
        for step in 0..253_u8 {
            // 127.0 and 127.1 are left to everything else on the machine.
            let second = 2 + ((u16::from(start) + u16::from(step)) % 253) as u8;
            match TcpListener::bind(SocketAddrV4::new(Ipv4Addr::new(127, second, 255, 254), CLAIM_PORT)) {
                Ok(claim) => return Ok(Self { _claim: Some(claim), ..Self::named(127, second) }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "every 127.x.0.0/16 is taken by another sandbox"))
    }

    /// A block by its first two bytes, which this machine must already have (`ip route add local 10.250.0.0/16 dev lo`).
    #[must_use]
    pub fn named(first: u8, second: u8) -> Self {
        Self { first, second, next: AtomicU32::new(0), _claim: None }
    }

    /// The next pod's address. Addresses come again only after all others of the block, so that a late connection to an ended
    /// pod does not reach another one.
    pub fn pod(&self) -> Ipv4Addr {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % POD_ADDRESSES;
        Ipv4Addr::new(self.first, self.second, 1 + (index / 254) as u8, 1 + (index % 254) as u8)
    }

    /// The node's own address.
    #[must_use]
    pub fn node(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.first, self.second, 0, 1)
    }

    /// The range for Services, as network and prefix length.
    #[must_use]
    pub fn services(&self) -> (Ipv4Addr, u8) {
        (Ipv4Addr::new(self.first, self.second, 128, 0), 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sandboxes_never_share_a_block() {
        let (one, two) = (AddressBlock::claim_loopback().unwrap(), AddressBlock::claim_loopback().unwrap());
        assert_ne!(one.second, two.second);
        assert!(one.pod().is_loopback());
    }

    #[test]
    fn pods_stay_in_their_half_and_start_over_at_the_end() {
        let block = AddressBlock::named(10, 250);
        assert_eq!(block.pod(), Ipv4Addr::new(10, 250, 1, 1));
        assert_eq!(block.pod(), Ipv4Addr::new(10, 250, 1, 2));
        block.next.store(POD_ADDRESSES - 1, Ordering::Relaxed);
        assert_eq!(block.pod(), Ipv4Addr::new(10, 250, 127, 254));
        assert_eq!(block.pod(), Ipv4Addr::new(10, 250, 1, 1));
        assert_eq!(block.services(), (Ipv4Addr::new(10, 250, 128, 0), 17));
    }
}
