//! Filters in both spellings.

use gillnet_kfl::{Env, Lang, Options, compile, complete, validate};
use std::sync::LazyLock;

static ENV: LazyLock<Env> = LazyLock::new(|| {
    Env::new(&gillnet_protocols::env()).with_macro("shop", "dst.namespace == \"shop\"")
});

/// Compiles, checks and completes a text. What compiles validates, and places lie inside the text.
pub fn run(data: &[u8]) {
    let Some((how, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let lang = [Lang::Kfl1, Lang::Kfl2][usize::from(how & 1)];
    let options = Options {
        lang,
        lenient: how & 2 != 0,
        ..Options::default()
    };
    let compiled = compile(&ENV, text, &options);
    let validation = validate(&ENV, text, &options);
    assert_eq!(compiled.is_ok(), validation.errors.is_empty());
    if let Err(errors) = compiled {
        for error in &errors.errors {
            let (from, to) = (error.span.start as usize, error.span.end as usize);
            assert!(
                text.get(from..to).is_some(),
                "outside the text: {from}..{to}"
            );
        }
        assert!(!errors.render(text).is_empty());
    }
    let cursor = usize::from(*how) % (text.len() + 1);
    let _ = complete(&ENV, text, cursor, lang);
}
