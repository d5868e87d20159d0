use gillnet_testkit::Packets;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let p = Packets::of(&a[1]);
    let p = match a[2].as_str() {
        "whole" => p,
        "end" => p.cut(|p| vec![p.payload.len().saturating_sub(1)]),
        "start" => p.cut(|p| vec![1.min(p.payload.len().saturating_sub(1))]),
        "byte" => p.cut(|p| (1..p.payload.len()).collect()),
        "swap" => p.swapped(a[3].parse().unwrap()).unwrap(),
        "without" => p.without(a[3].parse().unwrap()),
        "double" => p.doubled(),
        _ => panic!(),
    };
    let mut out = vec![];
    out.extend(0xa1b23c4du32.to_le_bytes());
    out.extend([2, 0, 4, 0]);
    out.extend([0; 8]);
    out.extend(65535u32.to_le_bytes());
    out.extend(101u32.to_le_bytes());
    for x in &p.0 {
        let b = x.bytes();
        out.extend(((x.ts / 1_000_000_000) as u32).to_le_bytes());
        out.extend(((x.ts % 1_000_000_000) as u32).to_le_bytes());
        out.extend((b.len() as u32).to_le_bytes());
        out.extend((b.len() as u32).to_le_bytes());
        out.extend(b);
    }
    std::fs::write("/tmp/acc/dump.pcap", out).unwrap();
}
