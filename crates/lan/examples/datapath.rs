//! Prints frames a second: `datapath [threaded|pumped [VSIS [BYTES [none|unit|atc [FRAMES [ENTRIES [4k|2m]]]]]]]`.

use std::error::Error;

use siov_lan::bench::{Load, Translation, pumped, threaded};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |n: usize, default: &'static str| arguments.get(n).map_or(default, String::as_str);
    let load = Load {
        vsis: text(1, "2").parse()?,
        frame: text(2, "64").parse()?,
        entries: text(5, "256").parse()?,
        translation: match text(3, "atc") {
            "none" => Translation::None,
            "unit" => Translation::Unit,
            _ => Translation::DeviceTlb,
        },
        superpages: text(6, "2m") != "4k",
    };
    let frames = text(4, "1000000").parse()?;
    let run = if text(0, "threaded") == "pumped" { pumped } else { threaded };
    for _ in 0..3 {
        let found = run(&load, frames)?;
        println!(
            "{:.3} Mpps   {:.1} ns of the engine a frame   {:.0} interrupts a second",
            found.frames_per_s / 1e6,
            found.engine_ns,
            found.interrupts_per_s
        );
    }
    Ok(())
}
