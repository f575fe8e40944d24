//! Nanoseconds per frame for what a receive queue does with each: parse, verify, hash.
#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::hint::black_box;
use std::time::Instant;

use siov_packet::rss::{self, Config, Toeplitz};
use siov_packet::{Iipt, L4t};
use siov_packet::{Offload, Scratch, Tso, parse, segment, verify};

/// The fastest of several rounds, in nanoseconds for one call.
fn fastest(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}

/// An IPv4 frame with a header of `l4` bytes of `protocol` and as much payload as fits.
fn ipv4(len: usize, protocol: u8, l4: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let total = (len - 14) as u16;
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x30, 0x39, 0x12, 0x34]);
    match protocol {
        17 => frame.extend((total - 20).to_be_bytes()),
        _ => frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10]),
    }
    frame.resize(34 + l4, 0);
    frame.resize(len, 0xA5);
    frame
}

fn main() {
    let key = Toeplitz::new(&[0x6D; rss::KEY_LEN]);
    let config = Config::default();
    for len in [64, 1518] {
        for (name, frame) in [("UDP", ipv4(len, 17, 8)), ("TCP", ipv4(len, 6, 20))] {
            let parsed = parse(&frame);
            let parsing = fastest(|| {
                black_box(parse(black_box(&frame)));
            });
            let verifying = fastest(|| {
                black_box(verify(black_box(&frame), black_box(&parsed)));
            });
            let hashing = fastest(|| {
                black_box(rss::hash(black_box(&frame), black_box(&parsed), &config, &key));
            });
            let all = fastest(|| {
                let frame = black_box(&frame);
                let parsed = parse(frame);
                black_box((verify(frame, &parsed), rss::hash(frame, &parsed, &config, &key)));
            });
            println!(
                "{name} {len:5} B: parse {parsing:5.1}  verify {verifying:5.1}  hash {hashing:5.1}  all {all:5.1} ns"
            );
        }
    }
    let frame = ipv4(54 + 44 * 1448, 6, 20);
    let ask = Offload {
        maclen: 14,
        iplen: 20,
        l4len: 20,
        iipt: Iipt::Ipv4Csum,
        l4t: L4t::Tcp,
        tso: Some(Tso { mss: 1448, len: 44 * 1448 }),
        ..Offload::default()
    };
    let mut scratch = Scratch::default();
    let each = fastest(|| {
        let _ = black_box(segment(black_box(&frame), &ask, &mut scratch, |out| {
            black_box(out);
        }));
    });
    println!("TSO, 44 segments of 1448 B: {:.1} ns each", each / 44.0);
}
