//! The reference page of the language has what the tables have.

use crate::spoken::{env, strict};
use gillnet_kfl::Lang;
use std::path::{Path, PathBuf};

/// Set, the page is written anew.
const UPDATE: &str = "UPDATE";

/// The page with its generated parts as they should be: each stands between `<!-- name: … -->` and `<!-- end of name -->`.
fn fresh(page: &str) -> String {
    let mut page = page.to_owned();
    for (name, part) in gillnet_kfl::reference(&env()) {
        let begin = format!(
            "<!-- {name}: from the tables of the code, `UPDATE=1 cargo test -p gillnet-protocols` -->\n"
        );
        let end = format!("\n<!-- end of {name} -->");
        let from = page.find(&begin).unwrap_or_else(|| panic!("{begin}")) + begin.len();
        let to = from + page[from..].find(&end).unwrap_or_else(|| panic!("{end}"));
        page.replace_range(from..to, &part);
    }
    page
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kfl.md")
}

#[test]
fn the_page_is_not_stale() {
    let path = path();
    let page = std::fs::read_to_string(&path).unwrap();
    let fresh = fresh(&page);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, fresh).unwrap();
    } else {
        assert!(page == fresh, "docs/kfl.md is stale: run with {UPDATE}=1");
    }
}

/// The filters in blocks without a language, and what they are read as; behind a filter may stand a remark.
#[test]
fn examples_of_the_page_are_valid() {
    let page = std::fs::read_to_string(path()).unwrap();
    let mut checked = 0;
    let blocks = page.split("\n```").skip(1).step_by(2);
    for example in blocks
        .filter_map(|b| b.strip_prefix('\n'))
        .flat_map(str::lines)
    {
        let (filter, remark) = example.split_once("   ").unwrap_or((example, ""));
        let read = strict(filter, Lang::Auto).unwrap_or_else(|e| panic!("{}", e.render(filter)));
        if remark.contains("KFL") {
            let named = format!(" {remark}").contains(" KFL1");
            let lang = if named { Lang::Kfl1 } else { Lang::Kfl2 };
            // what both read alike shows neither
            assert!(
                read.lang() == lang || strict(filter, lang).is_ok(),
                "{filter}"
            );
        }
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}
