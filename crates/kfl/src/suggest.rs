//! "Did you mean": the names near to one that does not exist.

/// The nearest of some names to one that does not exist: few letters away, or with the same last word.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    let same_end = || {
        names
            .clone()
            .filter(|n| n.rsplit('.').next() == Some(name))
            .min_by_key(|n| n.len())
    };
    near(name, names.clone())
        .map(|(_, n)| n)
        .or_else(same_end)
        .map(String::from)
}

/// The nearest of some names to a dotted one, or to its first words, the others being keys below.
pub(crate) fn nearest_path<'n>(
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<String> {
    let ends = name.rmatch_indices('.').map(|(i, _)| i);
    let begun = std::iter::once(name.len())
        .chain(ends)
        .filter_map(|end| name.split_at_checked(end));
    let known = begun.filter_map(|(words, keys)| {
        let (distance, near) = near(words, names.clone()).filter(|(distance, _)| *distance > 0)?;
        Some((distance, format!("{near}{keys}")))
    });
    known
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, n)| n)
        .or_else(|| nearest(name, names))
}

/// The name that is the fewest letters away, if they are few, and how many.
fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<(usize, &'n str)> {
    let letters = letters(name);
    let limit = match letters.len() {
        0..=3 => 1,
        4..=7 => 2,
        n => n / 5 + 1,
    };
    let mut rows = Rows::default();
    names
        .filter_map(|n| Some((rows.distance(&letters, n, limit)?, n)))
        .min_by_key(|(d, n)| (*d, n.len()))
}

/// Upper and lower case are the same.
fn letters(text: &str) -> Vec<char> {
    text.chars().map(|c| c.to_ascii_lowercase()).collect()
}

/// Rows of the table of distances between the beginnings of two names: the one that is filled, and the two before it.
#[derive(Default)]
struct Rows {
    other: Vec<char>,
    row: Vec<usize>,
    above: Vec<usize>,
    before: Vec<usize>,
}

impl Rows {
    /// Letters to change, add, drop or swap between two names, if they are no more than so many.
    fn distance(&mut self, a: &[char], b: &str, limit: usize) -> Option<usize> {
        self.other.clear();
        self.other.extend(b.chars().map(|c| c.to_ascii_lowercase()));
        let b = &self.other;
        // letters that one has more than the other are letters to add: most names are out of reach by that alone
        if a.len().abs_diff(b.len()) > limit {
            return None;
        }
        self.above.clear();
        self.above.extend(0..=b.len());
        for (i, x) in a.iter().enumerate() {
            self.row.clear();
            self.row.push(i + 1);
            for (j, y) in b.iter().enumerate() {
                let mut best = (self.above[j] + usize::from(x != y))
                    .min(self.above[j + 1] + 1)
                    .min(self.row[j] + 1);
                if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                    best = best.min(self.before[j - 1] + 1);
                }
                self.row.push(best);
            }
            // a row is reached from the two above it
            if self.row.iter().chain(&self.above).all(|d| *d > limit) {
                return None;
            }
            std::mem::swap(&mut self.before, &mut self.above);
            std::mem::swap(&mut self.above, &mut self.row);
        }
        self.above.last().copied().filter(|d| *d <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let names = ["response.status", "request.method", "src.namespace", "http"];
        for (wrong, right) in [
            ("respnse.status", Some("response.status")),
            ("status", Some("response.status")),
            ("src.nmaespace", Some("src.namespace")),
            ("htpp", Some("http")),
            ("zzz", None),
        ] {
            assert_eq!(
                nearest(wrong, names.iter().copied()).as_deref(),
                right,
                "{wrong}"
            );
        }
    }

    #[test]
    fn letters_are_counted() {
        for (a, b, letters) in [
            ("status", "Status", 0),
            ("status", "stauts", 1),
            ("status", "statu", 1),
            ("status", "sttaus", 1),
            ("abcdef", "badcfe", 3),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
            ("", "ab", 2),
        ] {
            let of = |limit| Rows::default().distance(&super::letters(a), b, limit);
            assert_eq!(of(letters), Some(letters), "{a} {b}");
            assert_eq!(of(9), Some(letters), "{a} {b}");
            assert_eq!(letters.checked_sub(1).and_then(of), None, "{a} {b}");
        }
    }

    #[test]
    fn keys_below_a_name_are_kept() {
        let names = ["request", "request.headers"];
        let near = |name| nearest_path(name, names.iter().copied());
        assert_eq!(
            near("request.header.Host").as_deref(),
            Some("request.headers.Host")
        );
        assert_eq!(near("request.frobnicate"), None);
    }
}
