//! A virtual device with every kind of trap, and a parent that remembers what reached it.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use siov_spec::{Layout, RegFile, layout::Register};
use siov_vdev::{Action, Mmio, Parts, Trap, Vdev};

pub const RSTAT: u32 = 0x8800;
pub const RSTAT_HPA: u64 = 0x9_2800;
pub const ICR: u32 = 0x4800;
pub const HENA: u32 = 0xC400;
pub const BAR0: u32 = 0x10000;

/// Registers that keep what is written; an address of a dead page answers nothing.
#[derive(Debug, Default)]
pub struct Parent {
    pub regs: Mutex<HashMap<u64, u32>>,
    pub log: Mutex<Vec<(u64, Option<u32>)>>,
}

pub const GONE: u64 = 0xF000_0000;

impl Mmio for Parent {
    fn read32(&self, hpa: u64) -> Option<u32> {
        self.log.lock().unwrap().push((hpa, None));
        let value = self.regs.lock().unwrap().get(&hpa).copied().unwrap_or(0);
        (hpa < GONE).then_some(value)
    }

    fn write32(&self, hpa: u64, value: u32) -> bool {
        self.log.lock().unwrap().push((hpa, Some(value)));
        self.regs.lock().unwrap().insert(hpa, value);
        hpa < GONE
    }
}

/// A trap, in short.
pub fn trap(at: u32, count: u32, stride: u32, action: Action) -> Trap {
    Trap { at, count, stride, action }
}

pub fn forward(read: Option<u64>, write: Option<u64>, stride: u64) -> Action {
    Action::Forward { read, write, stride }
}

/// Tails that are only written, a mailbox register, a row with gaps, one where nothing answers, and shadows.
pub fn traps() -> Vec<Trap> {
    let shadow = |reset, rw, read_clears, notify| Action::Shadow { reset, rw, read_clears, notify };
    vec![
        trap(0x0000, 4, 4, forward(None, Some(0x400_0000), 0x1000)),
        trap(0x2800, 3, 64, forward(Some(0x300_0004), Some(0x300_0004), 4)),
        trap(ICR, 1, 4, shadow(0, 0, true, false)),
        trap(0x5000, 1, 4, shadow(0, 0xC000_0000, false, false)),
        trap(0x6400, 1, 4, forward(Some(0x200_000C), Some(0x200_000C), 0)),
        trap(0x7000, 1, 4, forward(Some(GONE), Some(GONE), 0)),
        trap(RSTAT, 1, 4, Action::Rstat { hpa: RSTAT_HPA }),
        trap(HENA, 2, 4, shadow(7, u32::MAX, false, true)),
    ]
}

/// A configuration space with COMMAND, two BARs of which one is a 64-bit one, Device Control, and free bytes.
pub fn config() -> Arc<Mutex<RegFile>> {
    let mut registers = vec![];
    let mut add = |at, name: &str, size, reset, rw, rw1c| {
        registers.push((at, Register { name: name.to_owned(), size, reset, rw, rw1c, sticky: 0 }));
    };
    add(0x00, "ID", 4, 0x1889_8086, 0, 0);
    add(0x04, "COMMAND", 2, 0, 0x07FF, 0);
    add(0x06, "STATUS", 2, 0x10, 0, 0xF900);
    add(0x10, "BAR0", 4, 0xC, 0xFFFF_0000, 0);
    add(0x14, "BAR1", 4, 0, 0xFFFF_FFFF, 0);
    add(0x58, "Express.DEVCTL", 2, 0x2910, 0x7FFF, 0);
    add(0x80, "FREE", 4, 0, 0xFFFF_FFFF, 0);
    let layout = Layout::from_registers(0x100, registers).unwrap();
    Arc::new(Mutex::new(RegFile::new(Arc::new(layout))))
}

/// The virtual device, its parent, and how often its bell has rung.
pub struct Rig {
    pub vdev: Arc<Vdev>,
    pub parent: Arc<Parent>,
    pub rung: Arc<Mutex<u32>>,
}

impl Rig {
    pub fn new() -> Self {
        let parent = Arc::new(Parent::default());
        parent.regs.lock().unwrap().insert(RSTAT_HPA, 1);
        let rung = Arc::new(Mutex::new(0));
        let bell = {
            let rung = Arc::clone(&rung);
            move || *rung.lock().unwrap() += 1
        };
        let parts = Parts {
            config: config(),
            function_reset: true,
            bar0_size: BAR0,
            traps: traps(),
            msix: Some((0x4000, 5)),
            mmio: Arc::clone(&parent) as Arc<dyn Mmio>,
            bell: Some(Box::new(bell)),
        };
        let vdev = Arc::new(Vdev::new(parts).unwrap());
        Self { vdev, parent, rung }
    }

    pub fn read(&self, region: u32, at: u64, count: usize) -> u64 {
        let mut bytes = [0; 8];
        self.vdev.read(region, at, &mut bytes[..count]).unwrap();
        u64::from_le_bytes(bytes)
    }

    pub fn write(&self, region: u32, at: u64, value: u64, count: usize) {
        self.vdev.write(region, at, &value.to_le_bytes()[..count]).unwrap();
    }

    pub fn take_log(&self) -> Vec<(u64, Option<u32>)> {
        std::mem::take(&mut self.parent.log.lock().unwrap())
    }
}
