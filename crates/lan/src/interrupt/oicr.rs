//! PFINT_OICR: the function's other causes, gathered into one interrupt.

/// PFINT_OICR and PFINT_OICR_ENA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oicr {
    causes: u32,
    enabled: u32,
}

impl Oicr {
    /// Latch causes; true when PFINT_OICR_CTL's cause is to be raised: one of them is enabled and new.
    #[must_use]
    pub fn raise(&mut self, bits: u32) -> bool {
        let new = bits & !self.causes;
        self.causes |= bits;
        new & self.enabled != 0
    }

    /// What software reads from PFINT_OICR; the read clears it.
    pub fn read(&mut self) -> u32 {
        std::mem::take(&mut self.causes)
    }

    /// The latched causes, without the side effect of a read.
    pub fn peek(&self) -> u32 {
        self.causes
    }

    /// PFINT_OICR_ENA.
    pub fn enabled(&self) -> u32 {
        self.enabled
    }

    /// Write PFINT_OICR_ENA; true when the cause is to be raised: a latched cause has become enabled.
    #[must_use]
    pub fn enable(&mut self, mask: u32) -> bool {
        let new = mask & !self.enabled;
        self.enabled = mask;
        new & self.causes != 0
    }

    /// Both registers as after a core reset.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
