//! What client and server tell each other about themselves before anything else.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siov_mem::PAGE_SIZE;

use crate::wire::{MAX_DATA_XFER_SIZE, MAX_MSG_FDS};

/// The longest JSON that we read.
const MAX_JSON: usize = 16 * 1024;

/// What the client said of itself, with the defaults of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    /// The most data in a message that we send, in bytes.
    pub(crate) max_data_xfer_size: u32,
    /// The most maps it will make; not more than ours.
    pub(crate) max_dma_maps: usize,
    /// It would like to use `REGION_WRITE_MULTI`.
    pub(crate) write_multiple: bool,
}

#[derive(Deserialize)]
#[serde(default)]
struct ClientCapabilities {
    max_msg_fds: u64,
    max_data_xfer_size: u64,
    max_dma_maps: u64,
    pgsizes: u64,
    write_multiple: bool,
}

impl Default for ClientCapabilities {
    fn default() -> Self {
        ClientCapabilities {
            max_msg_fds: 1,
            max_data_xfer_size: MAX_DATA_XFER_SIZE.into(),
            max_dma_maps: 65_535,
            pgsizes: PAGE_SIZE,
            write_multiple: false,
        }
    }
}

#[derive(Serialize)]
struct ServerData {
    capabilities: ServerCapabilities,
}

#[derive(Serialize, Default)]
struct ServerCapabilities {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_msg_fds: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_xfer_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_multiple: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgsizes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_dma_maps: Option<usize>,
}

/// Reads the client's version; `ENOTSUP` for a major that is not 0 or pages that are not 4 KiB,
/// `EINVAL` for capabilities that are no JSON, or of the wrong type, or useless.
pub(crate) fn negotiate(major: u16, data: &[u8], max_dma_maps: usize) -> Result<Version, Errno> {
    if major != 0 {
        return Err(Errno::NOTSUP);
    }
    let theirs = match data.split_last() {
        None => ClientCapabilities::default(),
        Some((0, json)) if json.len() <= MAX_JSON => capabilities(json).ok_or(Errno::INVAL)?,
        Some(_) => return Err(Errno::INVAL),
    };
    if theirs.pgsizes & PAGE_SIZE == 0 {
        return Err(Errno::NOTSUP);
    }
    let max_data_xfer_size = theirs.max_data_xfer_size.min(MAX_DATA_XFER_SIZE.into());
    if max_data_xfer_size == 0 || theirs.max_msg_fds == 0 {
        return Err(Errno::INVAL);
    }
    Ok(Version {
        major,
        // All that we use exists in 0.0, and the reply may not promise more than was proposed.
        minor: 0,
        max_data_xfer_size: u32::try_from(max_data_xfer_size).unwrap_or(MAX_DATA_XFER_SIZE),
        max_dma_maps: usize::try_from(theirs.max_dma_maps).unwrap_or(usize::MAX).min(max_dma_maps),
        write_multiple: theirs.write_multiple,
    })
}

/// `None` if it is not an object, or its `capabilities` are none.
fn capabilities(json: &[u8]) -> Option<ClientCapabilities> {
    // By hand as far as the objects go: serde would take an array for a struct as well.
    let mut data = serde_json::from_slice::<Map<String, Value>>(json).ok()?;
    match data.remove("capabilities") {
        None => Some(ClientCapabilities::default()),
        Some(object @ Value::Object(_)) => serde_json::from_value(object).ok(),
        Some(_) => None,
    }
}

impl Version {
    /// Our capabilities as NUL-terminated JSON of at most `room` bytes.
    ///
    /// QEMU reads the reply into the buffer of its request, so what does not fit is left out, the
    /// least important first; with no room at all the reply has no data.
    pub(crate) fn reply_data(&self, room: usize) -> Vec<u8> {
        let ours = |fields: usize| ServerCapabilities {
            write_multiple: self.write_multiple.then_some(true).filter(|_| fields > 0),
            max_msg_fds: (fields > 1).then_some(MAX_MSG_FDS),
            max_data_xfer_size: (fields > 2).then_some(MAX_DATA_XFER_SIZE),
            pgsizes: (fields > 3).then_some(PAGE_SIZE),
            max_dma_maps: (fields > 4).then_some(self.max_dma_maps),
        };
        (0..=5)
            .rev()
            .filter_map(|fields| {
                let data = ServerData { capabilities: ours(fields) };
                let mut json = serde_json::to_vec(&data).ok()?;
                json.push(0);
                Some(json)
            })
            .find(|json| json.len() <= room)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn negotiated(json: &str) -> Result<Version, Errno> {
        negotiate(0, format!("{json}\0").as_bytes(), 1000)
    }

    #[test]
    fn no_capabilities_mean_the_defaults_of_the_specification() {
        let version = negotiate(0, &[], 1000).unwrap();
        assert_eq!(version.max_data_xfer_size, 1 << 20);
        assert!(!version.write_multiple);
        assert_eq!(negotiated("{}"), Ok(version));
    }

    #[test]
    fn the_smaller_of_two_limits_counts() {
        let version =
            negotiated(r#"{"capabilities":{"max_data_xfer_size":4096,"max_dma_maps":7}}"#);
        let version = version.unwrap();
        assert_eq!((version.max_data_xfer_size, version.max_dma_maps), (4096, 7));
    }

    #[test]
    fn useless_or_broken_capabilities_are_refused() {
        for json in [
            r#"{"capabilities":{"max_data_xfer_size":0}}"#,
            r#"{"capabilities":{"max_msg_fds":0}}"#,
            r#"{"capabilities":{"max_msg_fds":-1}}"#,
            r#"{"capabilities":{"write_multiple":"yes"}}"#,
            r#"{"capabilities":[]}"#,
            r#"{"capabilities":{}"#,
            "[]",
            "",
        ] {
            assert_eq!(negotiated(json), Err(Errno::INVAL), "{json}");
        }
        assert_eq!(negotiated(r#"{"capabilities":{"pgsizes":65536}}"#), Err(Errno::NOTSUP));
        assert_eq!(negotiate(0, b"{}", 1), Err(Errno::INVAL), "no NUL at the end");
        assert_eq!(negotiate(1, b"{}\0", 1), Err(Errno::NOTSUP));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert_eq!(negotiated(&"[".repeat(10_000)), Err(Errno::INVAL));
    }

    #[test]
    fn the_reply_fits_the_room_and_is_always_json() {
        let version = negotiated(r#"{"capabilities":{"write_multiple":true}}"#).unwrap();
        let full = version.reply_data(1000);
        assert!(full.ends_with(b"\0"));
        for room in 0..full.len() {
            let data = version.reply_data(room);
            assert!(data.len() <= room);
            if let Some((_, json)) = data.split_last() {
                serde_json::from_slice::<serde_json::Value>(json).unwrap();
            }
        }
        assert!(String::from_utf8(full).unwrap().contains(r#""write_multiple":true"#));
    }
}
