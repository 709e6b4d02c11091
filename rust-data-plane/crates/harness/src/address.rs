use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Outgoing connections get their ports above this on every system that is supported.
const EPHEMERAL: u16 = 32_768;
const FIRST: u16 = 12_000;

/// An address on loopback on which nothing listens.
///
/// Its port is below those of outgoing connections, so none of them takes it before the program that is meant to have it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let range = EPHEMERAL - FIRST;
    // Tests run in several processes at once, and each begins elsewhere.
    let begin = u16::try_from(std::process::id() * 37 % u32::from(range)).unwrap();
    loop {
        let offset = (u32::from(begin) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(range);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(offset).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
