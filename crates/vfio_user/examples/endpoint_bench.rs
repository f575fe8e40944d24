//! Prints what a register access over the socket costs: `endpoint_bench [ROUNDS [EXCHANGES [ONE_CPU]]]`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let rounds = numbers.next().transpose()?.unwrap_or(20);
    let exchanges = numbers.next().transpose()?.unwrap_or(2000);
    let one_cpu = numbers.next().transpose()?.unwrap_or(0) != 0;
    let path = std::env::temp_dir().join(format!("endpoint-bench-{}.sock", std::process::id()));
    let samples = siov_vfio_user::bench::endpoint(&path, rounds, exchanges, one_cpu)?;
    for (name, mut ns) in
        [("read", samples.read), ("posted write", samples.posted_write), ("raw", samples.raw)]
    {
        ns.sort_unstable();
        let at = |percent: usize| ns.get(ns.len() * percent / 100).copied().unwrap_or(0);
        println!("{name:12} p50 {:6} ns   p99 {:6} ns", at(50), at(99));
    }
    Ok(())
}
