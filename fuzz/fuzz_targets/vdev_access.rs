//! Writes to a virtual device's configuration space and registers, resets in between: it never panics, never
//! reaches a register that is not its own, and says what the same bytes said to a plain model.
#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use siov_spec::layout::Register;
use siov_spec::{Layout, RegFile, Reset};
use siov_vdev::{Action, DEAD, Mmio, Parts, State, Trap, Vdev, region};

#[allow(dead_code)]
mod input;

use input::Input;

const BAR0: u32 = 0x10000;
const CONFIG: u32 = 0x100;
const RSTAT: u32 = 0x8800;
const RSTAT_HPA: u64 = 0x9_2800;
/// Where the parent's registers are that the traps lead to.
const OWN: std::ops::Range<u64> = 0x200_0000..0x200_1000;
const MSIX: (u32, u32) = (0x4000, 5);

/// A parent that keeps what is written, and lets nobody else in.
#[derive(Default)]
struct Parent(Mutex<HashMap<u64, u32>>);

impl Mmio for Parent {
    fn read32(&self, hpa: u64) -> Option<u32> {
        assert!(OWN.contains(&hpa) || hpa == RSTAT_HPA, "read of {hpa:#x}");
        Some(self.0.lock().unwrap().get(&hpa).copied().unwrap_or(0))
    }

    fn write32(&self, hpa: u64, value: u32) -> bool {
        assert!(OWN.contains(&hpa), "write of {hpa:#x}");
        self.0.lock().unwrap().insert(hpa, value);
        true
    }
}

/// Traps of the input's choice. Most are possible; the rest must be refused and not crash.
fn traps(input: &mut Input<'_>) -> Vec<Trap> {
    let mut traps =
        vec![Trap { at: RSTAT, count: 1, stride: 4, action: Action::Rstat { hpa: RSTAT_HPA } }];
    for n in 0..u32::from(input.u8() % 6) {
        let kind = input.u8();
        let count = u32::from(input.u8() % 8);
        let stride = 4 << (input.u8() % 5);
        let at = n * 0x1000 + u32::from(input.u8()) * 2;
        let base = OWN.start + u64::from(n) * 0x100;
        let action = match kind & 3 {
            0 => Action::Forward { read: Some(base), write: Some(base), stride: 4 },
            1 => Action::Forward { read: None, write: Some(base), stride: 4 },
            _ => Action::Shadow {
                reset: input.sparse() as u32,
                rw: input.u64() as u32,
                read_clears: kind & 4 != 0,
                notify: kind & 8 != 0,
            },
        };
        traps.push(Trap { at, count, stride, action });
    }
    traps
}

/// A configuration space with the registers that have effects, and some of the input's choice.
fn config(input: &mut Input<'_>) -> Option<Arc<Mutex<RegFile>>> {
    let mut registers = vec![];
    let mut add = |at: u32, name: &str, size, reset, rw, rw1c| {
        registers.push((at, Register { name: name.to_owned(), size, reset, rw, rw1c, sticky: 0 }));
    };
    add(0, "ID", 4, 0x1889_8086, 0, 0);
    add(4, "COMMAND", 2, 0, 0x7FF, 0);
    add(0x10, "BAR0", 4, 0xC, 0xFFFF_0000, 0);
    add(0x58, "Express.DEVCTL", 2, 0x2910, 0x7FFF, 0);
    for n in 0..u32::from(input.u8() % 4) {
        let size = input.u8() % 9;
        add(0x80 + n * 8, &format!("R{n}"), size, input.u64(), input.u64(), input.u64());
    }
    let layout = Layout::from_registers(CONFIG, registers).ok()?;
    Some(Arc::new(Mutex::new(RegFile::new(Arc::new(layout)))))
}

/// What kept registers hold, said again in the plainest way.
struct Model {
    traps: Vec<Trap>,
    kept: HashMap<u32, u32>,
    state: State,
}

impl Model {
    fn shadow(&self, at: u32) -> Option<(u32, u32, bool)> {
        self.traps.iter().find_map(|trap| match trap.action {
            Action::Shadow { reset, rw, read_clears, .. } => (0..trap.count)
                .any(|n| trap.at + n * trap.stride == at)
                .then(|| (*self.kept.get(&at).unwrap_or(&reset), rw, read_clears)),
            _ => None,
        })
    }

    fn write(&mut self, at: u32, value: u32) {
        if let (Some((old, rw, _)), true) = (self.shadow(at), self.state != State::Disabled) {
            self.kept.insert(at, old & !rw | value & rw);
        }
    }

    /// What a read gives where the model knows.
    fn read(&mut self, at: u32) -> Option<u32> {
        let known = self.traps.iter().any(|trap| {
            !matches!(trap.action, Action::Shadow { .. })
                && (0..trap.count).any(|n| trap.at + n * trap.stride == at)
        });
        match self.shadow(at) {
            _ if at == RSTAT => None,
            _ if self.state == State::Disabled => Some(DEAD),
            Some((value, _, read_clears)) => {
                if read_clears {
                    self.kept.insert(at, 0);
                }
                Some(value)
            }
            None => (!known).then_some(DEAD),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let Some(config) = config(&mut input) else { return };
    let traps = traps(&mut input);
    let parent = Arc::new(Parent::default());
    parent.0.lock().unwrap().insert(RSTAT_HPA, 1);
    let parts = Parts {
        config,
        function_reset: input.u8() & 1 != 0,
        bar0_size: BAR0,
        traps: traps.clone(),
        msix: (input.u8() & 1 != 0).then_some(MSIX),
        mmio: Arc::clone(&parent) as Arc<dyn Mmio>,
        bell: Some(Box::new(|| {})),
    };
    let Ok(vdev) = Vdev::new(parts) else { return };
    let mut model = Model { traps, kept: HashMap::new(), state: State::Active };
    while !input.is_empty() {
        let what = input.u8();
        let region = [region::BAR0, region::BAR0, region::CONFIG, region::MSIX, u32::from(what)]
            [usize::from(what >> 4) % 5];
        let at = match input.u8() & 7 {
            0 => input.u64(),
            1 => u64::from(RSTAT),
            2 => 0x50 + u64::from(input.u8() & 15),
            3 => u64::from(input.u8()),
            _ => u64::from(input.u8() % 6) * 0x1000 + u64::from(input.u8()) * 2,
        };
        let count = [4, 4, 4, 1, 2, 8, 3, usize::from(input.u8() & 31)][usize::from(what & 7)];
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            *byte = input.u8();
        }
        let inside =
            at.checked_add(count as u64).is_some_and(|end| end <= vdev.region_size(region))
                && vdev.region_size(region) > 0;
        if what & 8 != 0 {
            assert_eq!(vdev.write(region, at, &bytes[..count]).is_ok(), inside);
            if region == region::BAR0 && inside {
                for (n, word) in words(at, count) {
                    model.write(word, u32::from_le_bytes(bytes[n..n + 4].try_into().unwrap()));
                }
            }
        } else {
            let mut data = [0; 32];
            assert_eq!(vdev.read(region, at, &mut data[..count]).is_ok(), inside);
            if region == region::BAR0 && inside {
                for (n, word) in words(at, count) {
                    let got = u32::from_le_bytes(data[n..n + 4].try_into().unwrap());
                    if let Some(expected) = model.read(word) {
                        assert_eq!(got, expected, "{word:#x}");
                    } else if word == RSTAT {
                        assert!(got <= 2);
                    }
                }
            }
        }
        // A function-level reset is the guest's only way to change the state.
        let state = vdev.get_state();
        assert!(state == model.state || state == State::Disabled);
        model.state = state;
        match what {
            0xF0..=0xF7 => {
                let notices = vdev.take_notices();
                assert!(notices.written.len() <= 48);
            }
            0xF8..=0xFB => {
                vdev.reset();
                model.kept.clear();
            }
            0xFC => vdev.reset_config(Reset::Cold),
            0xFD => {
                vdev.set_state(State::Resetting);
                model.state = State::Resetting;
            }
            0xFE..=0xFF => {
                vdev.set_state(State::Active);
                model.state = State::Active;
            }
            _ => {}
        }
    }
    let mut id = [0; 4];
    assert!(vdev.read(region::CONFIG, 0, &mut id).is_ok());
    assert_eq!(u32::from_le_bytes(id), 0x1889_8086);
});

/// The whole aligned double words of a range: where in the data, and at which offset.
fn words(at: u64, count: usize) -> Vec<(usize, u32)> {
    (0..count)
        .filter(|n| (at + *n as u64) % 4 == 0 && n + 4 <= count)
        .map(|n| (n, (at + n as u64) as u32))
        .collect()
}
