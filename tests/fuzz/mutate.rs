//! Inputs: what a target or a file could hold if somebody meant harm, or had bad luck.

use fastrand::Rng;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

use crate::tape::{Message, Shelf, record};
use crate::tree::{self, Field, Value};

/// No input is larger than this before it is packed, in bytes.
const LARGEST: usize = 1 << 20;
/// How often something is repeated at most.
const MOST_REPEATS: usize = 300;

/// What is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The messages of a feed, as a live target sends them.
    Updates,
    /// The file of a recording, damaged, or well-formed with messages that are not.
    Recordings,
    /// The answers about single tasks, with their histograms.
    Details,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Updates, Self::Recordings, Self::Details];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Updates => "updates",
            Self::Recordings => "recordings",
            Self::Details => "details",
        }
    }
}

/// Something to be fed to the tool.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// What a live feed delivers.
    Messages(Vec<Message>),
    /// A file to be played, and how many bytes of messages were compressed into it; 0 if that is not known.
    File { bytes: Vec<u8>, packed: usize },
}

impl Input {
    /// A file that may be no recording.
    pub(crate) fn file(bytes: Vec<u8>) -> Self {
        Self::File { bytes, packed: 0 }
    }

    /// Its size in bytes, before compression where that is known.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Messages(messages) => size(messages),
            Self::File { bytes, packed } => bytes.len().max(*packed),
        }
    }

    /// The input as a file, to be looked at with the tool.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        match self {
            Self::Messages(messages) => record(messages),
            Self::File { bytes, .. } => bytes.clone(),
        }
    }
}

/// The input of a number: the same for the same seed, whatever came before.
pub(crate) fn input(kind: Kind, seed: u64, number: u64, shelf: &Shelf) -> Input {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match kind {
        Kind::Updates => Input::Messages(mutated(shelf, &mut rng)),
        Kind::Details => Input::Messages(with_details(shelf, &mut rng)),
        Kind::Recordings if rng.bool() => {
            let messages = mutated(shelf, &mut rng);
            Input::File { bytes: record(&messages), packed: size(&messages) }
        }
        Kind::Recordings => Input::file(damaged(shelf, &mut rng)),
    }
}

fn size(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.bytes.len()).sum()
}

/// The beginning of a tape, mostly a short one.
fn beginning(shelf: &Shelf, rng: &mut Rng) -> Vec<Message> {
    let tape = shelf.choose(rng);
    let longest = [4, 8, 16, 64][rng.usize(0..4)].min(tape.messages.len());
    tape.messages[..rng.usize(1..=longest)].to_vec()
}

/// Some messages, of which some are changed.
fn mutated(shelf: &Shelf, rng: &mut Rng) -> Vec<Message> {
    let mut messages = beginning(shelf, rng);
    for _ in 0..rng.usize(0..3) {
        change_order(&mut messages, shelf, rng);
    }
    // Ids and times of other messages are the ones worth colliding with.
    let mut numbers = Vec::new();
    let known = messages.iter().filter_map(|message| tree::parse(&message.bytes)).take(4);
    known.for_each(|fields| tree::numbers(&fields, &mut numbers));
    for _ in 0..rng.usize(1..=4) {
        if messages.is_empty() {
            break;
        }
        let chosen = rng.usize(0..messages.len());
        change_message(&mut messages[chosen], &numbers, rng);
    }
    messages
}

/// What happens to whole messages: they get lost, come twice, too late, or from another process.
fn change_order(messages: &mut Vec<Message>, shelf: &Shelf, rng: &mut Rng) {
    if messages.is_empty() {
        return;
    }
    let place = rng.usize(0..messages.len());
    match rng.u8(0..7) {
        0 => drop(messages.remove(place)),
        1 => messages.insert(place, messages[place].clone()),
        2 => {
            let last = messages.len() - 1;
            messages.swap(place, last);
        }
        3 => {
            let other = beginning(shelf, rng);
            messages.extend(other);
        }
        4 => {
            let jump = [1_000_000_000, 60_000_000_000, u64::MAX / 4, u64::MAX][rng.usize(0..4)];
            messages[place..].iter_mut().for_each(|message| message.at = message.at.wrapping_add(jump));
        }
        5 => {
            let mut lost = vec![Field { number: 1, value: Value::Number(4) }];
            let reason = (hostile_text(rng)).repeat(rng.usize(1..MOST_REPEATS));
            lost.push(Field { number: 2, value: Value::Text(reason) });
            let at = messages[place].at;
            messages.insert(place, Message { topic: "status", at, bytes: tree::encode(&lost) });
        }
        _ => messages[place].topic = crate::tape::TOPICS[rng.usize(0..crate::tape::TOPICS.len())].0,
    }
}

fn change_message(message: &mut Message, numbers: &[u64], rng: &mut Rng) {
    let Some(mut fields) = tree::parse(&message.bytes) else {
        return change_bytes(&mut message.bytes, rng);
    };
    for _ in 0..rng.usize(1..=6) {
        change_field(&mut fields, numbers, rng);
    }
    message.bytes = match rng.u8(0..8) {
        0 => tree::encode_wrongly(&fields, rng),
        _ => tree::encode(&fields),
    };
    if rng.u8(0..16) == 0 {
        change_bytes(&mut message.bytes, rng);
    }
    message.bytes.truncate(LARGEST);
}

/// Changes one field, somewhere.
fn change_field(fields: &mut Vec<Field>, numbers: &[u64], rng: &mut Rng) {
    let count = tree::count(fields);
    if count == 0 {
        return;
    }
    let (from, to) = (rng.usize(0..count), rng.usize(0..count));
    let mut moved = None;
    if rng.u8(0..10) == 0 {
        tree::at(fields, from, &mut |siblings, place| moved = Some(siblings[place].clone()));
    }
    let room = LARGEST.saturating_sub(count * 16);
    tree::at(fields, to, &mut |siblings, place| match (rng.u8(0..12), &mut siblings[place].value) {
        (0, _) => drop(siblings.remove(place)),
        (1, _) => {
            let copy = siblings[place].clone();
            let size = tree::encode(std::slice::from_ref(&copy)).len().max(1);
            let repeats = if rng.u8(0..8) == 0 { rng.usize(1..MOST_REPEATS) } else { 1 };
            siblings.extend(std::iter::repeat_n(copy, repeats.min(room / size)));
        }
        (2, _) => siblings[place].number = rng.u64(1..12),
        (3, _) => siblings.extend(moved.take()),
        (_, Value::Number(number)) => *number = hostile_number(*number, numbers, rng),
        (_, Value::Text(text)) => *text = hostile_text(rng),
        (_, Value::Bytes(bytes)) => change_bytes(bytes, rng),
        (4, Value::Message(inner)) => inner.clear(),
        (_, Value::Message(inner)) if inner.is_empty() => {
            inner.push(Field { number: 1, value: Value::Number(hostile_number(0, numbers, rng)) });
        }
        (_, Value::Message(inner)) => change_number_in(inner, numbers, rng),
        (_, Value::Fixed64(fixed)) => *fixed = hostile_number(0, numbers, rng).to_le_bytes(),
        (_, Value::Fixed32(fixed)) => rng.fill(fixed),
    });
}

/// Changes the first number of a message: seconds of a time, an id.
fn change_number_in(fields: &mut [Field], numbers: &[u64], rng: &mut Rng) {
    let first = fields.iter_mut().find_map(|field| match &mut field.value {
        Value::Number(number) => Some(number),
        _ => None,
    });
    if let Some(number) = first {
        *number = hostile_number(*number, numbers, rng);
    }
}

fn hostile_number(known: u64, numbers: &[u64], rng: &mut Rng) -> u64 {
    const EDGES: [u64; 12] = [
        0,
        1,
        u64::MAX,
        u64::MAX - 1,
        1 << 63,
        (1 << 63) - 1,
        1 << 32,
        u32::MAX as u64,
        // Nanoseconds of a second, and the last second of the year 9999.
        999_999_999,
        1_000_000_000,
        253_402_300_799,
        1 << 53,
    ];
    match rng.u8(0..8) {
        0..=2 => EDGES[rng.usize(0..EDGES.len())],
        3 => known.wrapping_add(rng.u64(..)),
        4 => known.wrapping_add(1),
        5 => known.wrapping_sub(1),
        _ => rng.choice(numbers).copied().unwrap_or(known),
    }
}

/// Text that no terminal, log or format should get as it is.
pub(crate) fn hostile_text(rng: &mut Rng) -> String {
    const HOSTILE: [&str; 22] = [
        "",
        "\u{1b}[2J\u{1b}[H",
        "\u{1b}]0;title\u{7}",
        "\u{9b}31m",
        "a\r\nb",
        "\u{0}",
        "\u{7f}",
        "\u{202e}txt.exe",
        "\u{2066}hidden\u{2069}",
        "\u{200b}\u{200d}\u{feff}",
        "\u{61c}\u{ad}\u{180e}",
        "\u{115f}\u{3164}\u{fff9}\u{fffb}",
        "\u{e0041}\u{e007f}",
        "\u{2028}\u{2029}",
        "::error file=a,line=1::b",
        "\"},{\"type\":\"summary\",\"verdict\":\"healthy\"}",
        "[x](javascript:alert(1))<script>",
        "%s%n%x $(reboot) `id` ${HOME}",
        "漢字かな交じり文",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "task",
        "Semaphore",
    ];
    let text = HOSTILE[rng.usize(0..HOSTILE.len())];
    if rng.u8(0..16) == 0 { text.repeat(rng.usize(1..2_000)) } else { text.to_owned() }
}

/// Flips, overwrites, cuts or repeats some bytes.
fn change_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.extend((0..rng.usize(0..80)).map(|_| rng.u8(..)));
        return;
    }
    for _ in 0..rng.usize(1..=4) {
        let place = rng.usize(0..bytes.len().max(1));
        let room = bytes.len() - place;
        match rng.u8(0..6) {
            _ if bytes.is_empty() => return,
            0 => bytes[place] ^= 1 << rng.u8(0..8),
            1 => bytes[place] = rng.u8(..),
            // Numbers of four or eight bytes, at their edges.
            2 => {
                let edge = [[0_u8; 8], [0xff; 8], [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]][rng.usize(0..3)];
                let width = [4, 8][rng.usize(0..2)].min(room);
                bytes[place..place + width].copy_from_slice(&edge[..width]);
            }
            3 => bytes.truncate(place),
            4 => drop(bytes.drain(place..place + rng.usize(0..=room.min(32)).min(room))),
            _ => {
                let part = bytes[place..place + room.min(64)].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
}

/// The bytes of a recording, changed without regard for what they mean.
fn damaged(shelf: &Shelf, rng: &mut Rng) -> Vec<u8> {
    let tape = shelf.recording(rng);
    let mut bytes = tape.file.clone().unwrap_or_default();
    for _ in 0..rng.usize(1..=3) {
        change_bytes(&mut bytes, rng);
    }
    bytes
}

/// Some messages, and answers about tasks that are in them or not.
fn with_details(shelf: &Shelf, rng: &mut Rng) -> Vec<Message> {
    let mut messages = beginning(shelf, rng);
    let mut numbers = Vec::new();
    if let Some(fields) = messages.iter().find(|it| it.topic != "header").and_then(|it| tree::parse(&it.bytes)) {
        tree::numbers(&fields, &mut numbers);
    }
    for _ in 0..rng.usize(1..=6) {
        let place = rng.usize(0..=messages.len());
        let at = messages.get(place).or(messages.last()).map_or(1, |message| message.at);
        messages.insert(place, Message { topic: "details", at, bytes: details(&numbers, rng) });
    }
    messages
}

/// A `TaskDetails` message: task, time, and histograms in today's form or the one before it.
fn details(numbers: &[u64], rng: &mut Rng) -> Vec<u8> {
    let number = |value| Field { number: 1, value: Value::Number(value) };
    let task = rng.choice(numbers).copied().unwrap_or(1);
    let message = |number, fields| Field { number, value: Value::Message(fields) };
    let mut fields = vec![message(1, vec![number(task)]), message(2, vec![number(1_750_000_000)])];
    for field in [3, 4, 5] {
        let raw = Field { number: 1, value: Value::Bytes(histogram(rng)) };
        match field {
            3 if rng.bool() => fields.push(Field { number: 3, ..raw }),
            3 => {}
            field => fields.push(message(
                field,
                vec![
                    raw,
                    Field { number: 2, value: Value::Number(hostile_number(0, numbers, rng)) },
                    Field { number: 3, value: Value::Number(hostile_number(0, numbers, rng)) },
                ],
            )),
        }
    }
    if rng.bool() {
        change_field(&mut fields, numbers, rng);
    }
    if rng.u8(0..8) == 0 { tree::encode_wrongly(&fields, rng) } else { tree::encode(&fields) }
}

/// A serialised histogram, mostly with a head that claims something else.
fn histogram(rng: &mut Rng) -> Vec<u8> {
    let digits = rng.u8(1..=5);
    let highest = [1 << 10, 1 << 30, 1 << 40][rng.usize(0..3)];
    let mut bytes = Vec::new();
    if let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, highest, digits) {
        (0..rng.usize(0..50)).for_each(|_| histogram.saturating_record(rng.u64(1..highest)));
        // A buffer takes everything.
        let _ = V2Serializer::new().serialize(&histogram, &mut bytes);
    }
    match rng.u8(0..4) {
        0 => {}
        // Cookie, length, index, digits, lowest, highest, ratio.
        1 if bytes.len() >= 40 => {
            let (from, width) = [(0, 4), (4, 4), (8, 4), (12, 4), (16, 8), (24, 8), (32, 8)][rng.usize(0..7)];
            let edge = hostile_number(0, &[5, 10, 0x1c84_9303], rng).to_be_bytes();
            bytes[from..from + width].copy_from_slice(&edge[8 - width..]);
        }
        2 => change_bytes(&mut bytes, rng),
        _ => bytes = (0..rng.usize(0..120)).map(|_| rng.u8(..)).collect(),
    }
    bytes
}
