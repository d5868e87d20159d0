//! Writers of capture files: pcapng as it is, classic pcap normalised to Ethernet.

mod pcap;
mod pcapng;

pub use pcap::{PcapResolution, PcapWriter, ethernet_parts};
pub use pcapng::{
    CustomOption, PacketBlock, SectionBlock, interface_block, name_blocks, packet_block,
    section_block,
};
