//! "Did you mean": the names near to one that does not exist.

/// The nearest of some names to one that does not exist: few letters away, or with the same last word.
pub(crate) fn nearest<'n>(
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<String> {
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
    let length = name.chars().count();
    let limit = match length {
        0..=3 => 1,
        4..=7 => 2,
        n => n / 5 + 1,
    };
    // letters that one has more than the other are letters to add: most names are out of reach by that alone
    let within = |n: &&str| n.len().abs_diff(length) <= limit;
    names
        .filter(within)
        .map(|n| (distance(name, n), n))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, n)| (*d, n.len()))
}

/// Letters to change, add, drop or swap between two names, upper and lower case being the same.
fn distance(a: &str, b: &str) -> usize {
    let letters = |s: &str| -> Vec<char> { s.chars().map(|c| c.to_ascii_lowercase()).collect() };
    let (a, b) = (letters(a), letters(b));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
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
