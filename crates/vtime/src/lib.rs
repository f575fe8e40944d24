//! One thread for a whole machine: guests and adapters take turns, and a virtual clock goes from one moment at which
//! something is due to the next. The same machine does the same things at the same times, whatever else runs beside it.
//!
//! What takes time is the line: an adapter that has carried frames does nothing more until they would have passed at
//! the speed of its port. Timers and the guests' rates say when they are due. All else takes none.

mod bells;
mod line;
mod stepper;

pub use bells::Bells;
pub use line::Pace;
pub use stepper::{Adapter, StepError, Stepper, Stop};
