//! Tables for people.

use std::io::Write;

/// Columns as wide as what stands in them; the last one ends its line.
pub fn table(heads: &[&str], rows: &[Vec<String>], out: &mut Vec<u8>) {
    let length = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let head = heads.get(column).map_or(0, |head| length(head));
        cells.map(|cell| length(cell)).max().unwrap_or(0).max(head)
    };
    let last = heads.len().saturating_sub(1);
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (column, cell) in cells.enumerate() {
            // writing to a Vec cannot fail
            let _ = if column == last {
                writeln!(out, "{cell}")
            } else {
                write!(out, "{cell:width$}  ", width = width(column))
            };
        }
    };
    line(&mut heads.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A number of bytes, in a unit that people read.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let mut out = Vec::new();
        let rows = [row(["1", "µµµµµ", "x"]), row(["22", "", "long one"])];
        table(&["NO", "NAME", "REST"], &rows, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NO  NAME   REST\n1   µµµµµ  x\n22         long one\n");
        assert_eq!(
            [0, 1023, 1024, 5 << 20].map(bytes),
            ["0 B", "1023 B", "1 KiB", "5 MiB"]
        );
    }
}
