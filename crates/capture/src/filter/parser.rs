//! Tokens to a syntax tree. `and` and `or` bind equally and from the left, `not` binds closer; an
//! address or number alone takes the qualifiers of the primitive before it (`port 80 or 443`).

use std::{fs, net::Ipv4Addr};

use super::{
    Fault,
    ast::{Addr, Arith, Compare, Dir, Expr, Is, Op, Proto, Size, What},
    lexer::{Placed, Token, tokens},
};

/// How deep brackets and negations may be nested.
const MAX_DEPTH: usize = 64;
/// Primitives and operations of an expression; more do not fit into what the kernel takes.
const MAX_NODES: usize = 1024;

type Parsed<T> = Result<T, Fault>;

/// The tree of an expression; `None` where it is empty, which every frame matches.
pub(super) fn parse(expression: &str) -> Parsed<Option<Expr>> {
    let tokens = tokens(expression)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let end = expression.chars().count();
    let mut parser = Parser {
        tokens,
        at: 0,
        end,
        depth: 0,
        nodes: 0,
        last: None,
    };
    let expr = parser.expr()?;
    match parser.peek() {
        None => Ok(Some(expr)),
        Some(_) => Err(parser.unexpected("`and`, `or` or the end")),
    }
}

/// What stands before an address, a port or a number.
#[derive(Clone, Copy, Debug)]
struct Qualifiers {
    proto: Option<Proto>,
    dir: Dir,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Number,
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    /// Where the expression ends.
    end: usize,
    depth: usize,
    /// Primitives and operations so far.
    nodes: usize,
    /// Qualifiers of the last primitive that had any.
    last: Option<Qualifiers>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|placed| &placed.token)
    }

    fn position(&self) -> usize {
        self.tokens
            .get(self.at)
            .map_or(self.end, |placed| placed.position)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, words: &[&str]) -> bool {
        let found = words.iter().any(|word| self.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn take_number(&mut self) -> Option<u32> {
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = *number;
                self.at += 1;
                Some(number)
            }
            _ => None,
        }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.peek() {
            None => "the expression ends".to_owned(),
            Some(Token::Word(word) | Token::Escaped(word)) => format!("`{word}` is"),
            Some(Token::Number(number)) => format!("{number} is"),
            Some(Token::V6(_) | Token::Mac(_)) => "an address is".to_owned(),
            Some(Token::Sign(sign)) => format!("`{sign}` is"),
        };
        Fault::new(
            self.position(),
            format!("{found} where {expected} is expected"),
        )
    }

    fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{sign}`")))
        }
    }

    /// Goes one level deeper for as long as `inner` runs.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(
                self.position(),
                format!("nested deeper than {MAX_DEPTH}"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Counts a primitive or operation.
    fn node(&mut self) -> Parsed<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Fault::new(
                self.position(),
                format!("more than {MAX_NODES} primitives and operations"),
            ));
        }
        Ok(())
    }

    fn expr(&mut self) -> Parsed<Expr> {
        let mut left = self.term()?;
        loop {
            if self.take_sign("&&") || self.take_word(&["and"]) {
                left = Expr::And(Box::new(left), Box::new(self.term()?));
            } else if self.take_sign("||") || self.take_word(&["or"]) {
                left = Expr::Or(Box::new(left), Box::new(self.term()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self) -> Parsed<Expr> {
        if self.take_sign("!") || self.take_word(&["not"]) {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.term()?))));
        }
        if self.is_sign("(") && !self.bracket_is_arithmetic() {
            self.at += 1;
            let inner = self.deeper(Self::expr)?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        self.primitive()
    }

    /// Whether what follows the bracket that closes this one makes it a number.
    fn bracket_is_arithmetic(&self) -> bool {
        let mut open = 0usize;
        for ahead in 0.. {
            match self.peek_at(ahead) {
                None => return false,
                Some(Token::Sign("(")) => open += 1,
                Some(Token::Sign(")")) if open == 1 => return self.operator_at(ahead + 1),
                Some(Token::Sign(")")) => open -= 1,
                Some(_) => {}
            }
        }
        false
    }

    /// Whether an operator between numbers stands there.
    fn operator_at(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Sign(sign)) if binary(sign).is_some() || comparison(sign).is_some())
    }

    fn primitive(&mut self) -> Parsed<Expr> {
        self.node()?;
        let position = self.position();
        let is = |what| Expr::Is(Is { position, what });
        match self.peek() {
            None => return Err(self.unexpected("a primitive")),
            Some(Token::Sign("(" | "-")) => return self.comparison(position).map(is),
            Some(Token::Sign(_)) => return Err(self.unexpected("a primitive")),
            Some(Token::Number(_))
                if self.operator_at(1) && !matches!(self.peek_at(1), Some(Token::Sign("/"))) =>
            {
                return self.comparison(position).map(is);
            }
            Some(Token::Number(_) | Token::V6(_) | Token::Mac(_) | Token::Escaped(_)) => {
                return self.inherited();
            }
            Some(Token::Word(_)) => {}
        }
        if self.starts_number() {
            return self.comparison(position).map(is);
        }
        if let Some(what) = self.other()? {
            self.last = None;
            return Ok(is(what));
        }
        self.qualified()
    }

    /// Whether a number begins here: `len`, a constant's name, or bytes of a header.
    fn starts_number(&self) -> bool {
        match self.peek() {
            Some(Token::Word(word)) if word == "len" || constant(word).is_some() => true,
            Some(Token::Word(word)) => {
                Proto::named(word).is_some() && matches!(self.peek_at(1), Some(Token::Sign("[")))
            }
            _ => false,
        }
    }

    /// Primitives that are words of their own.
    fn other(&mut self) -> Parsed<Option<What>> {
        let position = self.position();
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Ok(None);
        };
        let compare = |how, number| What::Compare {
            left: Arith::Length,
            how,
            right: Arith::Number(number),
        };
        self.at += 1;
        let what = match &word[..] {
            "vlan" => What::Vlan(self.limited(4095, "a VLAN's number")?),
            "mpls" => What::Mpls(self.limited(0xf_ffff, "an MPLS label")?),
            "pppoed" => What::PppoeDiscovery,
            "pppoes" => What::PppoeSession(self.limited(0xffff, "a session's number")?),
            "inbound" => What::Outbound(false),
            "outbound" => What::Outbound(true),
            "broadcast" => What::Broadcast(None),
            "multicast" => What::Multicast(None),
            "less" => compare(Compare::AtMost, self.number("a length")?),
            "greater" => compare(Compare::AtLeast, self.number("a length")?),
            "ifindex" => What::Ifindex(self.number("an interface's number")?),
            "gateway" | "protochain" | "geneve" | "atalk" | "aarp" | "decnet" | "lat" | "sca"
            | "moprc" | "mopdl" | "iso" | "clnp" | "esis" | "isis" | "ipx" | "netbeui" | "wlan"
            | "fddi" | "tr" | "llc" | "byte" | "radio" => {
                return Err(Fault::new(position, format!("`{word}` is not supported")));
            }
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some(what))
    }

    fn number(&mut self, what: &str) -> Parsed<u32> {
        self.take_number().ok_or_else(|| self.unexpected(what))
    }

    /// A number that may be missing.
    fn limited(&mut self, most: u32, what: &str) -> Parsed<Option<u32>> {
        let position = self.position();
        match self.take_number() {
            Some(number) if number > most => {
                Err(Fault::new(position, format!("{what} is at most {most}")))
            }
            number => Ok(number),
        }
    }

    /// A protocol, a direction and a kind, any of them missing, and what they qualify.
    fn qualified(&mut self) -> Parsed<Expr> {
        let position = self.position();
        let proto = self.proto();
        if let Some(proto) = proto {
            let what = if self.take_word(&["broadcast"]) {
                Some(What::Broadcast(Some(proto)))
            } else if self.take_word(&["multicast"]) {
                Some(What::Multicast(Some(proto)))
            } else {
                None
            };
            if let Some(what) = what {
                self.last = None;
                return Ok(Expr::Is(Is { position, what }));
            }
        }
        let dir = self.dir()?;
        let kind = match self.peek() {
            Some(Token::Word(word)) => match &word[..] {
                "host" => Some(Kind::Host),
                "net" => Some(Kind::Net),
                "port" => Some(Kind::Port),
                "portrange" => Some(Kind::PortRange),
                "proto" => Some(Kind::Number),
                _ => None,
            },
            _ => None,
        };
        self.at += usize::from(kind.is_some());
        let kind = match (proto, dir, kind) {
            (_, _, Some(kind)) => kind,
            (_, Some(_), None) => Kind::Host,
            (Some(proto), None, None) => {
                self.last = None;
                return Ok(Expr::Is(Is {
                    position,
                    what: What::Proto(proto),
                }));
            }
            (None, None, None) => {
                if matches!(self.peek(), Some(Token::Word(word)) if self.last.is_none() && address(word).is_none())
                {
                    return Err(self.unexpected("a primitive"));
                }
                return self.inherited();
            }
        };
        if dir.is_some() && kind == Kind::Number {
            return Err(Fault::new(position, "a protocol's number has no direction"));
        }
        let qualifiers = Qualifiers {
            proto,
            dir: dir.unwrap_or(Dir::Either),
            kind,
        };
        self.last = Some(qualifiers);
        self.ids(qualifiers)
    }

    fn proto(&mut self) -> Option<Proto> {
        let proto = match self.peek() {
            Some(Token::Word(word)) => Proto::named(word),
            _ => None,
        };
        self.at += usize::from(proto.is_some());
        proto
    }

    fn dir(&mut self) -> Parsed<Option<Dir>> {
        let (first, second) = if self.take_word(&["src"]) {
            (Dir::Src, "dst")
        } else if self.take_word(&["dst"]) {
            (Dir::Dst, "src")
        } else {
            return Ok(None);
        };
        let followed = matches!(self.peek_at(1), Some(Token::Word(word)) if word == second);
        if followed && self.take_word(&["or"]) {
            self.at += 1;
            return Ok(Some(Dir::Either));
        }
        if followed && self.take_word(&["and"]) {
            self.at += 1;
            return Ok(Some(Dir::Both));
        }
        Ok(Some(first))
    }

    /// An address or number without qualifiers.
    fn inherited(&mut self) -> Parsed<Expr> {
        match self.last {
            Some(qualifiers) => self.ids(qualifiers),
            None => Err(Fault::new(
                self.position(),
                "`host`, `net`, `port` or `proto` must stand before this",
            )),
        }
    }

    /// One thing that is qualified, or several in brackets.
    fn ids(&mut self, qualifiers: Qualifiers) -> Parsed<Expr> {
        if !self.take_sign("(") {
            let position = self.position();
            return Ok(Expr::Is(Is {
                position,
                what: self.id(qualifiers)?,
            }));
        }
        let inner = self.deeper(|parser| {
            let mut left = parser.ids(qualifiers)?;
            loop {
                parser.node()?;
                if parser.take_sign("&&") || parser.take_word(&["and"]) {
                    left = Expr::And(Box::new(left), Box::new(parser.ids(qualifiers)?));
                } else if parser.take_sign("||") || parser.take_word(&["or"]) {
                    left = Expr::Or(Box::new(left), Box::new(parser.ids(qualifiers)?));
                } else {
                    return Ok(left);
                }
            }
        })?;
        self.expect_sign(")")?;
        Ok(inner)
    }

    fn id(&mut self, Qualifiers { proto, dir, kind }: Qualifiers) -> Parsed<What> {
        let position = self.position();
        match kind {
            Kind::Host | Kind::Net => {
                let addr = self.addr(kind == Kind::Net)?;
                Ok(What::Host { proto, dir, addr })
            }
            Kind::Port => {
                let port = self.port()?;
                Ok(What::Ports {
                    proto,
                    dir,
                    first: port,
                    last: port,
                })
            }
            Kind::PortRange => {
                let (first, last) = self.port_range()?;
                Ok(What::Ports {
                    proto,
                    dir,
                    first,
                    last,
                })
            }
            Kind::Number => {
                let number = self.protocol_number(proto)?;
                let most = if proto == Some(Proto::Ether) {
                    0xffff
                } else {
                    0xff
                };
                if number > most {
                    return Err(Fault::new(
                        position,
                        format!("a protocol's number is at most {most} here"),
                    ));
                }
                Ok(What::Number { proto, number })
            }
        }
    }

    fn addr(&mut self, net: bool) -> Parsed<Addr> {
        let position = self.position();
        let token = self.peek().cloned();
        let (addr, bits) = match token {
            Some(Token::Mac(mac)) => {
                self.at += 1;
                return Ok(Addr::Mac(mac));
            }
            Some(Token::V6(addr)) => {
                self.at += 1;
                let length = self.prefix_length(128)?.unwrap_or(128);
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                if addr.to_bits() & !mask != 0 {
                    return Err(Fault::new(
                        position,
                        format!("{addr}/{length} has bits set behind its prefix"),
                    ));
                }
                return Ok(Addr::V6 { addr, mask });
            }
            Some(Token::Number(number)) if net && number < 256 => (number << 24, 8),
            Some(Token::Number(number)) => (number, 32),
            Some(Token::Word(word) | Token::Escaped(word)) => match address(&word) {
                Some(found) => found,
                None => {
                    let why = format!("`{word}` is no address (names are not looked up)");
                    return Err(Fault::new(position, why));
                }
            },
            _ => return Err(self.unexpected("an address")),
        };
        self.at += 1;
        let mut mask = u32::MAX << (32 - bits);
        if let Some(length) = self.prefix_length(32)? {
            mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        } else if self.take_word(&["mask"]) {
            let position = self.position();
            mask = match self.peek() {
                Some(Token::Word(word)) => address(word)
                    .filter(|(_, bits)| *bits == 32)
                    .map(|(mask, _)| mask),
                Some(Token::Number(number)) => Some(*number),
                _ => None,
            }
            .ok_or_else(|| Fault::new(position, "a mask of four bytes must follow"))?;
            self.at += 1;
        }
        if addr & !mask != 0 {
            let why = format!("{} has bits set behind its prefix", Ipv4Addr::from(addr));
            return Err(Fault::new(position, why));
        }
        Ok(Addr::V4 {
            addr: addr.into(),
            mask,
        })
    }

    /// `/LENGTH`, where there is one.
    fn prefix_length(&mut self, most: u32) -> Parsed<Option<u32>> {
        if !self.take_sign("/") {
            return Ok(None);
        }
        let position = self.position();
        let length = self.number("the length of a prefix")?;
        if length > most {
            return Err(Fault::new(
                position,
                format!("a prefix has at most {most} bits here"),
            ));
        }
        Ok(Some(length))
    }

    fn port(&mut self) -> Parsed<u16> {
        let position = self.position();
        let port = match self.peek() {
            Some(Token::Number(number)) => u16::try_from(*number)
                .map_err(|_| Fault::new(position, "a port is at most 65535"))?,
            Some(Token::Word(word) | Token::Escaped(word)) => service(word)
                .ok_or_else(|| Fault::new(position, format!("no service is called `{word}`")))?,
            _ => return Err(self.unexpected("a port")),
        };
        self.at += 1;
        Ok(port)
    }

    /// `FIRST-LAST`, which is one word.
    fn port_range(&mut self) -> Parsed<(u16, u16)> {
        let position = self.position();
        let ends = match self.peek() {
            Some(Token::Number(number)) => u16::try_from(*number).ok().map(|port| (port, port)),
            Some(Token::Word(word)) => word.split_once('-').and_then(|(first, last)| {
                Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?))
            }),
            _ => return Err(self.unexpected("a range of ports such as 8000-8080")),
        };
        let (first, last) =
            ends.ok_or_else(|| Fault::new(position, "a range of ports is such as 8000-8080"))?;
        self.at += 1;
        Ok((first.min(last), first.max(last)))
    }

    fn protocol_number(&mut self, over: Option<Proto>) -> Parsed<u32> {
        if let Some(number) = self.take_number() {
            return Ok(number);
        }
        let position = self.position();
        let Some(Token::Word(word) | Token::Escaped(word)) = self.peek() else {
            return Err(self.unexpected("a protocol's number"));
        };
        let proto = Proto::named(word);
        let number = match over {
            Some(Proto::Ether) => proto.and_then(|proto| match proto {
                Proto::Stp => Some(0x42),
                _ => proto.ethertype(),
            }),
            _ => proto.and_then(Proto::over_ip),
        };
        let number = number
            .ok_or_else(|| Fault::new(position, format!("no protocol there is called `{word}`")))?;
        self.at += 1;
        Ok(number)
    }

    fn comparison(&mut self, position: usize) -> Parsed<What> {
        self.last = None;
        let left = self.arith(0)?;
        let how = match self.peek() {
            Some(Token::Sign(sign)) => comparison(sign),
            _ => None,
        };
        let Some(how) = how else {
            let mut fault = self.unexpected("a comparison such as `=`");
            fault.position = fault.position.max(position);
            return Err(fault);
        };
        self.at += 1;
        let right = self.arith(0)?;
        Ok(What::Compare { left, how, right })
    }

    /// A number of operators that bind at least as close as `least`.
    fn arith(&mut self, least: u8) -> Parsed<Arith> {
        let mut left = self.deeper(Self::operand)?;
        while let Some(Token::Sign(sign)) = self.peek() {
            let Some((op, binds)) = binary(sign).filter(|(_, binds)| *binds >= least) else {
                break;
            };
            let position = self.position();
            self.node()?;
            self.at += 1;
            let right = self.deeper(|parser| parser.arith(binds + 1))?;
            left = Arith::Op {
                position,
                op,
                left: Box::new(left),
                right: Box::new(right),
            };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Arith> {
        let position = self.position();
        if let Some(number) = self.take_number() {
            return Ok(Arith::Number(number));
        }
        if self.take_sign("-") {
            return Ok(Arith::Negative(Box::new(self.deeper(Self::operand)?)));
        }
        if self.take_sign("(") {
            let inner = self.arith(0)?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Err(self.unexpected("a number"));
        };
        if word == "len" {
            self.at += 1;
            return Ok(Arith::Length);
        }
        if let Some(number) = constant(&word) {
            self.at += 1;
            return Ok(Arith::Number(number));
        }
        let Some(proto) = Proto::named(&word) else {
            return Err(self.unexpected("a number"));
        };
        self.at += 1;
        self.expect_sign("[")?;
        let at = Box::new(self.arith(0)?);
        let size = if self.take_sign(":") {
            let position = self.position();
            match self.number("1, 2 or 4")? {
                1 => Size::Byte,
                2 => Size::Half,
                4 => Size::Word,
                _ => return Err(Fault::new(position, "1, 2 or 4 bytes can be looked at")),
            }
        } else {
            Size::Byte
        };
        self.expect_sign("]")?;
        Ok(Arith::Load {
            position,
            proto,
            at,
            size,
        })
    }
}

/// Bytes of an address that may be short (`10.1`), in the upper bits, and how many bits were given.
fn address(word: &str) -> Option<(u32, u32)> {
    let (mut addr, mut bits) = (0, 0);
    for part in word.split('.') {
        if bits == 32
            || part.is_empty()
            || part.len() > 3
            || !part.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        addr = addr << 8 | u32::from(part.parse::<u8>().ok()?);
        bits += 8;
    }
    Some((addr << (32 - bits), bits))
}

fn comparison(sign: &str) -> Option<Compare> {
    Some(match sign {
        "=" | "==" => Compare::Equal,
        "!=" => Compare::Unequal,
        "<" => Compare::Less,
        "<=" => Compare::AtMost,
        ">" => Compare::Greater,
        ">=" => Compare::AtLeast,
        _ => return None,
    })
}

/// An operator, and how close it binds.
fn binary(sign: &str) -> Option<(Op, u8)> {
    Some(match sign {
        "|" => (Op::Or, 1),
        "^" => (Op::Xor, 1),
        "&" => (Op::And, 2),
        "<<" => (Op::Left, 3),
        ">>" => (Op::Right, 3),
        "+" => (Op::Add, 4),
        "-" => (Op::Subtract, 4),
        "*" => (Op::Multiply, 5),
        "/" => (Op::Divide, 5),
        "%" => (Op::Modulo, 5),
        _ => return None,
    })
}

/// Offsets and values that have names.
fn constant(word: &str) -> Option<u32> {
    Some(match word {
        "icmptype" | "icmp6type" => 0,
        "icmpcode" | "icmp6code" => 1,
        "tcpflags" => 13,
        "tcp-fin" => 0x01,
        "tcp-syn" => 0x02,
        "tcp-rst" => 0x04,
        "tcp-push" => 0x08,
        "tcp-ack" => 0x10,
        "tcp-urg" => 0x20,
        "tcp-ece" => 0x40,
        "tcp-cwr" => 0x80,
        "icmp-echoreply" => 0,
        "icmp-unreach" => 3,
        "icmp-sourcequench" => 4,
        "icmp-redirect" => 5,
        "icmp-echo" => 8,
        "icmp-routeradvert" => 9,
        "icmp-routersolicit" => 10,
        "icmp-timxceed" => 11,
        "icmp-paramprob" => 12,
        "icmp-tstamp" => 13,
        "icmp-tstampreply" => 14,
        "icmp-ireq" => 15,
        "icmp-ireqreply" => 16,
        "icmp-maskreq" => 17,
        "icmp-maskreply" => 18,
        "icmp6-destinationunreach" => 1,
        "icmp6-packettoobig" => 2,
        "icmp6-timeexceeded" => 3,
        "icmp6-parameterproblem" => 4,
        "icmp6-echo" => 128,
        "icmp6-echoreply" => 129,
        "icmp6-multicastlistenerquery" => 130,
        "icmp6-multicastlistenerreportv1" => 131,
        "icmp6-multicastlistenerdone" => 132,
        "icmp6-routersolicit" => 133,
        "icmp6-routeradvert" => 134,
        "icmp6-neighborsolicit" => 135,
        "icmp6-neighboradvert" => 136,
        "icmp6-redirect" => 137,
        _ => return None,
    })
}

/// The port of a service: of the most common ones, else by the host's list.
fn service(name: &str) -> Option<u16> {
    let common = match name {
        "ssh" => 22,
        "domain" => 53,
        "http" => 80,
        "https" => 443,
        _ => 0,
    };
    if common != 0 {
        return Some(common);
    }
    let list = fs::read_to_string("/etc/services").ok()?;
    list.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let official = words.next()?;
        let port = words.next()?.split('/').next()?.parse().ok()?;
        (official == name || words.any(|alias| alias == name)).then_some(port)
    })
}
