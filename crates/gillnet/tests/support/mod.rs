//! What tests that run the binary share.

use std::io::{BufRead, BufReader};
use std::process::Child;

/// Where a dashboard is and its token, which are the first that its process prints.
pub(crate) fn address(child: &mut Child) -> (String, String) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (address, token) = line.trim().split_once("/?token=").unwrap();
    (address.to_owned(), token.to_owned())
}
