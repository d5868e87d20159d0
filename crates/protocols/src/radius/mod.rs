//! RADIUS (RFC 2865): requests and their answers. Nothing reads it yet.

mod record;

pub use record::Radius;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "radius",
    flags: &[("radius", "RADIUS: a request and its answer.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "radius",
    abbr: "RADIUS",
    long_name: "Remote Authentication Dial-In User Service",
    macro_name: "radius",
    flags: &["radius"],
    reference: "https://www.rfc-editor.org/rfc/rfc2865",
    ports: &["1812", "1813"],
    layer4: "udp",
    ..SHOWN
};
