//! From an event of the device to a message on the bus.
//!
//! A [`Cause`] register names a vector and one of its three timers. [`Interrupts`] holds the event until the
//! vector is enabled and its timers allow a message; [`Messages`] knows where the message goes, and keeps it as
//! a pending bit while the vector is masked. [`Oicr`] gathers the function's other causes into one.
//!
//! # The model of moderation
//! No public text tells how E810 counts; what is known of its kin and of Linux's driver is met by this model.
//! - A vector remembers when it last interrupted. ITR timer `i` has expired `GLINT_ITR(i)` × 2 µs after that,
//!   GLINT_RATE's one credit is back INTRL × 4 µs after that.
//! - An event goes out as soon as the vector is enabled (INTENA), the event's own timer has expired (at once
//!   with index 3), and the credit is back. So the first event after a pause interrupts at once.
//! - The message takes all events of the vector with it and clears INTENA, unless GLINT_CTL.DIS_AUTOMASK is set.
//! - An event of a disabled vector is kept. INTENA written as 1 lets it go under the rule above.
//! - A new ITR or INTRL value counts from the last interrupt, so it holds for the interval that is running.
//! - Somebody who looks late (a thread of a busy machine) doesn't shift the following interval: it counts from
//!   when the message was due.
//! - CLEARPBA clears the pending bit and keeps the event: ice writes it with each enable after a poll, and an
//!   event after the poll still has to interrupt.
//! - WB_ON_ITR is kept for the queues; the events of a vector in that mode stay for when it is enabled.

mod cause;
mod messages;
mod moderation;
mod oicr;

pub use siov_spec::e810::{IMS_SLOTS, VECTORS as MSIX_VECTORS};

pub use cause::{Cause, Itr, Vector};
pub use messages::{Message, Messages};
pub use moderation::{Interrupts, Moderated, Ns};
pub use oicr::Oicr;
