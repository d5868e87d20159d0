//! A door before an emulator that does harm to connections when it is told to.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// It is answered with this status and code, and goes nowhere.
    Answer(u16, &'static str),
    /// The connection ends before an answer, and the request went nowhere.
    Drop,
    /// It is done, and the connection ends before its answer.
    Lose,
    /// Of its answer comes so much, then the connection ends.
    Cut(usize),
}

/// A port that leads to another.
pub(crate) struct Door {
    pub(crate) port: u16,
    harms: Arc<Mutex<VecDeque<Harm>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Door {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            harms: Arc::default(),
            open: Arc::default(),
            requests: Arc::default(),
        };
        let (harms, open, requests) = (
            Arc::clone(&door.harms),
            Arc::clone(&door.open),
            Arc::clone(&door.requests),
        );
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                open.lock().unwrap().push(client.try_clone().unwrap());
                let (harms, requests) = (Arc::clone(&harms), Arc::clone(&requests));
                thread::spawn(move || serve(client, port, &harms, &requests));
            }
        });
        door
    }

    /// Does these to the next requests, one each. Connections that are open end first, so that the
    /// next request comes on a new one.
    pub(crate) fn harm(&self, harms: impl IntoIterator<Item = Harm>) {
        self.harms.lock().unwrap().extend(harms);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// First lines of the requests since it was asked last, one of each connection.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

/// One connection: harm is done to its first request.
fn serve(
    mut client: TcpStream,
    port: u16,
    harms: &Mutex<VecDeque<Harm>>,
    requests: &Mutex<Vec<String>>,
) {
    let Some(request) = whole_head(&mut client) else {
        return;
    };
    let line = String::from_utf8_lossy(&request);
    let line = line.lines().next().unwrap_or_default().to_owned();
    requests.lock().unwrap().push(line);
    let harm = harms.lock().unwrap().pop_front();
    let rest = body_left(&request);
    match harm {
        Some(Harm::Answer(status, code)) => {
            take(&mut client, rest);
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
            let _ = write!(
                client,
                "HTTP/1.1 {status} Harm\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        Some(Harm::Drop) => take(&mut client, rest),
        None | Some(Harm::Lose | Harm::Cut(_)) => {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            server.write_all(&request).unwrap();
            let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut up, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            match harm {
                Some(Harm::Lose) => {
                    // its first bytes say that it is done
                    let _ = server.read(&mut [0; 1024]);
                }
                Some(Harm::Cut(most)) => {
                    let _ = std::io::copy(&mut server.take(most as u64), &mut client);
                }
                _ => {
                    let _ = std::io::copy(&mut server, &mut client);
                }
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// What comes up to the end of a request's head, and perhaps of what follows.
fn whole_head(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut part = [0; 16 << 10];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match client.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(n) => head.extend_from_slice(&part[..n]),
        }
    }
    Some(head)
}

/// How much of a request's body is still to come.
fn body_left(request: &[u8]) -> usize {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap() + 4;
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| {
        let value = line.strip_prefix("content-length:")?;
        value.trim().parse::<usize>().ok()
    });
    length.unwrap_or(0).saturating_sub(request.len() - end)
}

fn take(client: &mut TcpStream, most: usize) {
    let _ = std::io::copy(&mut client.take(most as u64), &mut std::io::sink());
}
