#![allow(missing_docs, clippy::unwrap_used)]
use std::{collections::HashMap, time::Instant, sync::Arc, path::Path};
use gillnet_bucket::{*, layout::*, packets::*};
use gillnet_capture::*;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (v[11].parse::<f64>().unwrap()+v[12].parse::<f64>().unwrap())/100.0 }
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let limit: usize = args[2].parse().unwrap();
    let dir = &args[3];
    let _ = std::fs::remove_dir_all(dir);
    let dest = Destination::parse(dir).unwrap();
    let bucket = connect(&dest, &Credentials::default(), Access::Record).unwrap();
    let mut source = open_files(vec![Input::File(args[1].clone().into())]).unwrap();
    let mut streams: HashMap<u64, Vec<(i64, u32, Vec<u8>)>> = HashMap::new();
    let (mut held, mut total, mut seq, mut frames) = (0usize, 0usize, 0u64, 0u64);
    let (mut packed, mut unpacked, mut wcpu) = (0u64, 0u64, 0.0);
    let iface = vec![Interface{name:"eth0".into(), link: LinkType::Ethernet, description: String::new(), snaplen:0}];
    loop {
        let end = match source.next() { Ok(Event::Frame(f)) => {
            let d = f.data; if d.len() < 38 { continue; }
            let k = |a: &[u8], b: &[u8], p: &[u8], q: &[u8]| -> u64 { let mut h = 0u64; for x in a.iter().chain(b).chain(p).chain(q) { h = h.wrapping_mul(0x100000001b3) ^ u64::from(*x);} h };
            let (a,b,p,q) = (&d[26..30], &d[30..34], &d[34..36], &d[36..38]);
            let key = k(a,b,p,q) ^ k(b,a,q,p);
            streams.entry(key).or_default().push((f.ts, f.wire_len, d.to_vec()));
            held += d.len(); total += d.len(); frames += 1; total >= limit
        } Ok(Event::End) => true, _ => continue };
        if held >= 32<<20 || (end && held > 0) {
            let mut totals = Totals::default();
            for s in streams.values() { totals.streams += 1; for p in s { totals.add(p.0); } }
            let name = ObjectName{cluster:"c".into(), recording:"r".into(), hour: Hour::of(totals.last), node:"n".into(), run:1, seq};
            let about = About{name:&name, kfl:"http", interfaces:&iface, totals};
            let c0 = cpu(); 
            let mut w = PacketWriter::new(Vec::new(), &about).unwrap();
            for (n, s) in streams.values().enumerate() { w.begin(&StreamStart{id: StreamId{number: seq*100000 + n as u64, udp:false}, missing:None, continued:false}).unwrap();
              for (ts, wl, data) in s { w.packet(&Packet{ts:*ts, iface:0, wire_len:*wl, direction: PacketDirection::In, data}).unwrap(); } }
            let (bytes, written) = w.finish().unwrap();
            wcpu += cpu() - c0;
            packed += written.packed; unpacked += written.unpacked;
            bucket.put_new(&name.packets_key(), Body::Bytes(&bytes)).unwrap();
            streams.clear(); held = 0; seq += 1;
        }
        if end { break; }
    }
    println!("write: {frames} frames {:.0} MB pcapng, ratio {:.2}, {:.0} MB/s cpu, objects {seq}", unpacked as f64/1e6, unpacked as f64/packed as f64, unpacked as f64/1e6/wcpu);
    drop(streams);
    let (c0, t0) = (cpu(), Instant::now());
    let rec = Recordings::of_bucket(Arc::clone(&bucket), TimeRange::default(), Path::new(&args[4])).unwrap();
    let progress = rec.progress();
    let mut n = 0u64; let mut sum = 0u64; let mut last = 0;
    for g in rec.into_groups() { let mut s = g.into_source().unwrap(); loop { match s.next() { Ok(Event::Frame(f)) => { n += 1; sum += f.data.len() as u64 + u64::from(f.data[0]); assert!(f.ts >= last); last = f.ts; } Ok(Event::End) => break, Ok(_) => {}, Err(e) => println!("{e}") } } }
    println!("read: {n} frames {:.0} MB, {:.0} MB/s cpu, {:.0} MB/s wall; damaged {} dup {}", sum as f64/1e6, sum as f64/1e6/(cpu()-c0), sum as f64/1e6/t0.elapsed().as_secs_f64(), progress.damaged(), progress.duplicates());
    for l in std::fs::read_to_string("/proc/self/status").unwrap().lines() { if l.contains("Rss") || l.contains("VmHWM") { println!("{l}"); } }
}
