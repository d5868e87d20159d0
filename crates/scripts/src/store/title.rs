//! What a script's text says of itself.

/// The title: the text of the first comment, its first line that is not empty.
pub(crate) fn title(text: &str) -> Option<String> {
    let lines = text.trim_start_matches('\u{feff}').trim_start();
    let comment = match (lines.strip_prefix("/*"), lines.strip_prefix("//")) {
        (Some(block), _) => block.split("*/").next()?,
        (_, Some(line)) => line.lines().next()?,
        // the first line that is one
        _ => text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("//"))?,
    };
    let line = |line: &str| line.trim().trim_start_matches(['*', '/']).trim().to_owned();
    comment.lines().map(line).find(|line| !line.is_empty())
}

/// Whether a script's text names `RECORDING_KFL`: then it records by itself what that says.
pub(crate) fn names_recording_kfl(text: &str) -> bool {
    const NAME: &str = "RECORDING_KFL";
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    text.match_indices(NAME).any(|(at, _)| {
        let (before, after) = (text.get(..at), text.get(at + NAME.len()..));
        !part(before.and_then(|b| b.chars().next_back()))
            && !part(after.and_then(|a| a.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_first_comments() {
        for (text, expected) in [
            ("//podtraffic\nvar a;", Some("podtraffic")),
            ("\u{feff}\n\n// A title \n// more", Some("A title")),
            ("/* Block */ var a;", Some("Block")),
            (
                "/**\n * Traffic recorder\n * more\n */",
                Some("Traffic recorder"),
            ),
            ("var a;\n  // later\n", Some("later")),
            ("var a;", None),
            ("", None),
            ("//\n", None),
        ] {
            assert_eq!(title(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_name_is_a_whole_word() {
        for (text, expected) in [
            ("env.RECORDING_KFL", true),
            ("env['RECORDING_KFL']", true),
            ("RECORDING_KFL", true),
            ("RECORDING_KFLS", false),
            ("MY_RECORDING_KFL", false),
            ("", false),
        ] {
            assert_eq!(names_recording_kfl(text), expected, "{text}");
        }
    }
}
