//! Settings as data: what a table entry can be asked for, and reading what a caller sent.
//!
//! Floor 0. A table entry lists its options; menus, limits, defaults, URL values and error messages all come from that list.
//! Values arrive as a tree of [`Value`]s, whatever the caller's language, and every complaint names the path of the value.

use crate::error::{Error, Result};
use std::fmt;

/// A value from outside, before it is understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null` or `undefined`.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any number, also NaN and the infinities.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// A plain object, in the order of its keys.
    Map(Vec<(String, Value)>),
    /// Something that fits nowhere, such as a function: what it is, for the message that refuses it.
    Other(String),
}

impl fmt::Display for Value {
    /// Short, for the `got` of an error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Number(n) => f.write_str(&decimal(*n)),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(items) => write!(f, "an array of {}", items.len()),
            Self::Map(_) => f.write_str("an object"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self::Number(number.into())
    }
}

impl Value {
    /// A number, rounded to whole parts of which `parts` make one.
    pub fn rounded(number: f64, parts: f64) -> Self {
        Self::Number((number * parts).round() / parts)
    }
}

/// The first forty characters of a text, in quotation marks. The standard library's `{:?}` brings tables of all letters along.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars().take(40) {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    if text.chars().nth(40).is_some() {
        quoted.push('…');
    }
    quoted
}

/// A number in a sentence: whole ones with all digits, others rounded to six that count, in JavaScript's notation. The standard library's
/// text, which reads back as the same number, is a fortieth of the package.
fn decimal(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let mut size = number.abs();
    if size.is_infinite() {
        return format!("{sign}Infinity");
    }
    if size < 1e18 && size.fract() == 0.0 {
        return format!("{sign}{}", size as u64);
    }
    let mut exponent = 0_i32;
    while size >= 999_999.5 {
        size /= 10.0;
        exponent += 1;
    }
    while size < 99_999.95 {
        size *= 10.0;
        exponent -= 1;
    }
    let mut digits = (size + 0.5) as u32;
    while digits.is_multiple_of(10) {
        digits /= 10;
        exponent += 1;
    }
    let mut text = digits.to_string();
    let point = text.len() as i32 + exponent;
    match usize::try_from(point) {
        Ok(at @ 1..=21) if at < text.len() => text.insert(at, '.'),
        Ok(at @ 1..=21) => text.push_str(&"0".repeat(at - text.len())),
        _ if (-5..=0).contains(&point) => text = format!("0.{}{text}", "0".repeat(-point as usize)),
        _ => {
            if text.len() > 1 {
                text.insert(1, '.');
            }
            text = format!("{text}e{:+}", point - 1);
        }
    }
    format!("{sign}{text}")
}

/// What kind of value an option takes. The fields are the bounds, both included, and the default.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number in `min..=max`.
    Integer { min: u32, max: u32, default: u32 },
    /// A finite number in `min..=max`; `log` asks for a logarithmic slider.
    Number { min: f64, max: f64, default: f64, log: bool },
    /// A finite number in `min..=max`, or nothing.
    Maybe { min: f64, max: f64, default: Option<f64> },
    /// One of some names, each with a title.
    Choice { among: &'static [(&'static str, &'static str)], default: &'static str },
    /// On or off.
    Switch { default: bool },
}

/// One option of a table entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionSpec {
    /// Name in configurations, camel case: `forgetBias`.
    pub name: &'static str,
    /// Label of the control.
    pub title: &'static str,
    /// One sentence that explains the option.
    pub help: &'static str,
    /// What it takes.
    pub kind: Kind,
}

/// The values of all options of one entry, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    values: Vec<(&'static str, Value)>,
}

impl Chosen {
    fn value(&self, name: &str) -> &Value {
        &self.values.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no option {name}")).1
    }

    /// The value of an [`Kind::Integer`].
    pub fn integer(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    /// The value of a [`Kind::Number`] or [`Kind::Integer`].
    pub fn number(&self, name: &str) -> f64 {
        self.maybe(name).unwrap_or_else(|| panic!("option {name} is not a number"))
    }

    /// The value of a [`Kind::Maybe`].
    pub fn maybe(&self, name: &str) -> Option<f64> {
        match self.value(name) {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The value of a [`Kind::Choice`].
    pub fn choice(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Text(text) => text,
            other => panic!("option {name} is {other}, not a choice"),
        }
    }

    /// The value of a [`Kind::Switch`].
    pub fn switch(&self, name: &str) -> bool {
        *self.value(name) == Value::Bool(true)
    }

    /// True when the entry has an option of this name.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(n, _)| *n == name)
    }

    /// Names and values, in the order of the table.
    pub fn values(&self) -> &[(&'static str, Value)] {
        &self.values
    }

    /// All defaults.
    pub fn defaults(specs: &[OptionSpec]) -> Self {
        Self { values: specs.iter().map(|spec| (spec.name, spec.kind.default())).collect() }
    }

    /// The same with some values replaced, each checked against its option. Nothing takes no place here: the default is not what
    /// a running session has.
    pub fn with(&self, path: &str, specs: &[OptionSpec], changes: &[(String, Value)]) -> Result<Self> {
        let mut next = self.clone();
        for (name, value) in changes {
            let Some(at) = specs.iter().position(|spec| spec.name == name) else {
                let names: Vec<_> = specs.iter().map(|spec| spec.name).collect();
                return Err(Error::invalid(join(path, name), format!("one of the fields {}", names.join(", ")), value));
            };
            let kind = &specs[at].kind;
            if *value == Value::Null && !matches!(kind, Kind::Maybe { .. }) {
                return Err(Error::invalid(join(path, name), kind, value));
            }
            next.values[at].1 = kind.check(&join(path, name), value)?;
        }
        Ok(next)
    }
}

impl Kind {
    /// The default, as a value.
    pub fn default(&self) -> Value {
        match *self {
            Self::Integer { default, .. } => Value::Number(f64::from(default)),
            Self::Number { default, .. } => Value::Number(default),
            Self::Maybe { default, .. } => default.map_or(Value::Null, Value::Number),
            Self::Choice { default, .. } => Value::Text(default.to_owned()),
            Self::Switch { default } => Value::Bool(default),
        }
    }

    /// The value itself if it fits; a missing one becomes the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path, the accepted range or names, and the value.
    pub fn check(&self, path: &str, value: &Value) -> Result<Value> {
        let fits = match (self, value) {
            (Self::Maybe { .. }, Value::Null) => return Ok(Value::Null),
            (_, Value::Null) => return Ok(self.default()),
            (Self::Integer { min, max, .. }, Value::Number(n)) => {
                n.fract() == 0.0 && (f64::from(*min)..=f64::from(*max)).contains(n)
            }
            (Self::Number { min, max, .. } | Self::Maybe { min, max, .. }, Value::Number(n)) => {
                (*min..=*max).contains(n)
            }
            (Self::Choice { among, .. }, Value::Text(text)) => among.iter().any(|(id, _)| id == text),
            (Self::Switch { .. }, Value::Bool(_)) => true,
            _ => false,
        };
        if fits { Ok(value.clone()) } else { Err(Error::invalid(path, self, value)) }
    }
}

impl fmt::Display for Kind {
    /// What the option accepts, as the `expected` of an error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max, .. } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max, .. } => {
                write!(f, "a number from {} to {}", Value::Number(*min), Value::Number(*max))
            }
            Self::Maybe { min, max, .. } => {
                write!(f, "a number from {} to {}, or null", Value::Number(*min), Value::Number(*max))
            }
            Self::Choice { among, .. } => {
                write!(f, "one of {}", among.iter().map(|(id, _)| *id).collect::<Vec<_>>().join(", "))
            }
            Self::Switch { .. } => f.write_str("true or false"),
        }
    }
}

/// `path.name`, or the name alone at the top. A name that could not stand in a sentence is quoted, and cut when it is long.
pub fn join(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    let name = if !name.is_empty() && name.len() <= 80 && name.chars().all(plain) {
        name.to_owned()
    } else {
        Value::Text(name.to_owned()).to_string()
    };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The fields of an object, taken one by one; what is left at the end is unknown.
#[derive(Debug)]
pub struct Fields {
    path: String,
    left: Vec<(String, Value)>,
    known: Vec<String>,
}

impl Fields {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the value is no object.
    pub fn new(path: &str, value: Value) -> Result<Self> {
        match value {
            Value::Map(left) => Ok(Self { path: path.to_owned(), left, known: Vec::new() }),
            other => Err(Error::invalid(if path.is_empty() { "config" } else { path }, "an object", other)),
        }
    }

    /// Path of a field of this object.
    pub fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Takes a field; a missing one is [`Value::Null`].
    pub fn take(&mut self, name: &str) -> Value {
        self.known.push(name.to_owned());
        match self.left.iter().position(|(n, _)| n == name) {
            Some(at) => self.left.remove(at).1,
            None => Value::Null,
        }
    }

    /// Takes a field of some kind; a missing one becomes the default.
    ///
    /// # Errors
    /// As [`Kind::check`].
    pub fn read(&mut self, name: &str, kind: Kind) -> Result<Value> {
        let value = self.take(name);
        kind.check(&self.path(name), &value)
    }

    /// Takes the options of a table entry.
    ///
    /// # Errors
    /// As [`Kind::check`].
    pub fn options(&mut self, specs: &[OptionSpec]) -> Result<Chosen> {
        let values = specs.iter().map(|spec| Ok((spec.name, self.read(spec.name, spec.kind)?)));
        Ok(Chosen { values: values.collect::<Result<_>>()? })
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first unknown field and the known ones.
    pub fn finish(self) -> Result<()> {
        match self.left.first() {
            None => Ok(()),
            Some((name, value)) => {
                let expected = format!("one of the fields {}", self.known.join(", "));
                Err(Error::invalid(join(&self.path, name), expected, value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_javascripts_notation() {
        let cases = [
            (0.0, "0"),
            (-3.0, "-3"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (0.1, "0.1"),
            (-1234.5, "-1234.5"),
            (0.000_001, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (4e20, "400000000000000000000"),
            (-2.5e300, "-2.5e+300"),
            (5e-324, "4.94066e-324"),
            (2.0 / 3.0, "0.666667"),
            (0.999_999_9, "1"),
            (1e6 - 0.25, "1000000"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, text) in cases {
            assert_eq!(decimal(number), text);
        }
    }
}
