//! What a protocol is called and how it is shown.

/// The protocol object of an entry (Kubeshark's spelling).
#[derive(Debug, PartialEq, Eq)]
pub struct ProtocolInfo {
    /// `http`, `dns`.
    pub name: &'static str,
    /// `1.1`, `2`, `0`.
    pub version: &'static str,
    /// `HTTP`, `HTTP/2`, `DNS`.
    pub abbr: &'static str,
    /// The long name.
    pub long_name: &'static str,
    /// The KFL macro.
    pub macro_name: &'static str,
    /// KFL flags that are true for its entries (`http`, `grpc`).
    pub flags: &'static [&'static str],
    /// Colour of the tag, `#rrggbb`.
    pub background: &'static str,
    /// Colour of the tag's text.
    pub foreground: &'static str,
    /// Where it is specified.
    pub reference: &'static str,
    /// Usual ports.
    pub ports: &'static [&'static str],
    /// `tcp`, `udp`.
    pub layer4: &'static str,
    /// Order among the protocols shown.
    pub priority: u8,
}
