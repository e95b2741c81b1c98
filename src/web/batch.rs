//! A caller's batch: typed arrays in, a task's batch out.

use super::value::{self, field};
use crate::error::{Error, Result};
use crate::options::{Kind, Value, join};
use crate::tasks::{Batch, Form, IGNORED, Input, Target};
use crate::train::LIMITS;
use js_sys::{Float32Array, Uint32Array};
use wasm_bindgen::JsValue;

/// Reads `{ x, y, mask?, T, B }` in the form of a task. The types and lengths of all arrays are known to be right before memory is
/// taken for them.
///
/// # Errors
/// [`Error::Invalid`] that names the array, the type and length expected, and what came.
pub fn read(form: &Form, object: &JsValue) -> Result<Batch> {
    if !object.is_object() {
        return Err(Error::invalid("batch", "an object with x, y, T and B", value::name(object)));
    }
    if let Some(key) = value::fields(object).iter().find(|key| !["x", "y", "mask", "T", "B"].contains(&key.as_str())) {
        let got = value::name(&field(object, key));
        return Err(Error::invalid(join("batch", key), "one of the fields x, y, mask, T, B", got));
    }
    let size = |name: &str, max: u32| {
        let path = format!("batch.{name}");
        let kind = Kind::Integer { min: 1, max, default: 0 };
        match value::read(&field(object, name)) {
            Value::Null => Err(Error::invalid(path, kind, "nothing")),
            given => kind.check(&path, &given).map(|checked| match checked {
                Value::Number(n) => n as usize,
                _ => unreachable!("an integer"),
            }),
        }
    };
    let (n_steps, rows) = (size("T", LIMITS.length)?, size("B", LIMITS.batch)?);
    let form = Form { n_steps, ..form.clone() };
    let positions = n_steps * rows;
    let (from, scored) = if form.last_only { (positions - rows, rows) } else { (0, positions) };
    let letters = if form.last_only { "[B]" } else { "[T, B]" };

    // All that can run the caller's code comes first: what is checked below stays as it is.
    let [x, y, mask] = ["x", "y", "mask"].map(|name| field(object, name));
    let x = match form.input {
        Input::Features(n) => Array::floats("batch.x", &x, positions * n, &format!("[T, B, {n}]"))?,
        Input::Symbols(_) => Array::words("batch.x", &x, positions, "[T, B]")?,
    };
    let y = match form.target {
        Target::Class(_) => Array::words("batch.y", &y, scored, letters)?,
        Target::Value(1) if form.last_only => Array::floats("batch.y", &y, scored, letters)?,
        Target::Value(n) => {
            let shape = if form.last_only { format!("[B, {n}]") } else { format!("[T, B, {n}]") };
            Array::floats("batch.y", &y, scored * n, &shape)?
        }
    };
    let mask = match mask.is_undefined() || mask.is_null() {
        true => None,
        false => Some(Array::floats("batch.mask", &mask, positions, "[T, B]")?),
    };

    let mut batch = Batch::zeros(&form, rows);
    x.copy_to(&mut batch.features, &mut batch.symbols);
    let skipped = batch.values.len() - if batch.values.is_empty() { 0 } else { scored * form.target.size() };
    let first_class = if batch.classes.is_empty() { 0 } else { from };
    y.copy_to(&mut batch.values[skipped..], &mut batch.classes[first_class..]);
    match mask {
        Some(mask) => mask.copy_to(&mut batch.mask, &mut []),
        None => batch.mask.fill(1.0),
    }
    batch.mask[..from].fill(0.0);
    for (mask, &class) in batch.mask.iter_mut().zip(&batch.classes) {
        if class == IGNORED {
            *mask = 0.0;
        }
    }
    Ok(batch)
}

/// A typed array of the right class and length.
enum Array {
    Floats(Float32Array),
    Words(Uint32Array),
}

impl Array {
    fn floats(path: &str, array: &JsValue, len: usize, shape: &str) -> Result<Self> {
        match value::typed::<Float32Array>(array).filter(|array| array.length() as usize == len) {
            Some(array) => Ok(Self::Floats(array.clone())),
            None => Err(mismatch(path, "Float32Array", shape, len, array)),
        }
    }

    fn words(path: &str, array: &JsValue, len: usize, shape: &str) -> Result<Self> {
        match value::typed::<Uint32Array>(array).filter(|array| array.length() as usize == len) {
            Some(array) => Ok(Self::Words(array.clone())),
            None => Err(mismatch(path, "Uint32Array", shape, len, array)),
        }
    }

    /// Copies to the one of the two that it fills.
    fn copy_to(&self, floats: &mut [f32], words: &mut [u32]) {
        match self {
            Self::Floats(array) => array.copy_to(floats),
            Self::Words(array) => array.copy_to(words),
        }
    }
}

fn mismatch(path: &str, kind: &str, shape: &str, len: usize, got: &JsValue) -> Error {
    Error::invalid(path, format!("{kind} {shape} of {len} elements"), value::name(got))
}
