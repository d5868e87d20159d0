//! Takes the dashboard's files anew when they were built anew. Node is not needed: without files a page says so.

fn main() {
    println!("cargo::rerun-if-changed=../../ui/dist");
}
