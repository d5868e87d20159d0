//! The bytes of a capture file, of any kind.

use gillnet_capture::{Event, Input, open_files};

/// Reads them as a stream, as of an object or a pipe, to their end.
pub fn run(data: &[u8]) {
    let input = Input::Reader {
        name: "input".to_owned(),
        reader: Box::new(std::io::Cursor::new(data.to_vec())),
    };
    let mut source = open_files(vec![input]).expect("one input is given");
    let mut fatal = false;
    loop {
        match source.next() {
            Ok(Event::Frame(frame)) => {
                assert!(!fatal);
                // every byte can be read
                std::hint::black_box(frame.data.iter().fold(0u8, |sum, byte| sum ^ byte));
            }
            Ok(Event::Tick(_)) => {}
            Ok(Event::End) => break,
            Err(error) => {
                fatal |= error.is_fatal();
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(
        matches!(source.next(), Ok(Event::End)),
        "nothing follows the end"
    );
}
