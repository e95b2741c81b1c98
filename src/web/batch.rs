//! A caller's batch: typed arrays in, a task's batch out.

use super::value;
use crate::error::{Error, Result};
use crate::options::{Kind, Value};
use crate::tasks::{Batch, Form, IGNORED, Input, Target};
use crate::train::LIMITS;
use wasm_bindgen::{JsCast, JsValue};

/// Reads `{ x, y, mask?, T, B }` in the form of a task.
///
/// # Errors
/// [`Error::Invalid`] that names the array, the type and length expected, and what came.
pub fn read(form: &Form, object: &JsValue) -> Result<Batch> {
    if !object.is_object() {
        return Err(Error::invalid("batch", "an object with x, y, T and B", value::name(object)));
    }
    for key in js_sys::Object::keys(object.unchecked_ref::<js_sys::Object>()).iter().filter_map(|key| key.as_string()) {
        if !["x", "y", "mask", "T", "B"].contains(&key.as_str()) {
            return Err(Error::invalid(
                format!("batch.{key}"),
                "one of the fields x, y, mask, T, B",
                value::name(&field(object, &key)),
            ));
        }
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
    let mut batch = Batch::zeros(&form, rows);
    let positions = n_steps * rows;
    let (from, scored) = if form.last_only { (positions - rows, rows) } else { (0, positions) };
    let letters = if form.last_only { "[B]" } else { "[T, B]" };

    let x = field(object, "x");
    match form.input {
        Input::Features(n) => floats("batch.x", &x, &mut batch.features, &format!("[T, B, {n}]"))?,
        Input::Symbols(_) => words("batch.x", &x, &mut batch.symbols, "[T, B]")?,
    }
    let y = field(object, "y");
    match form.target {
        Target::Class(_) => words("batch.y", &y, &mut batch.classes[from..], letters)?,
        Target::Value(1) if form.last_only => floats("batch.y", &y, &mut batch.values[from..], letters)?,
        Target::Value(n) => {
            let shape = if form.last_only { format!("[B, {n}]") } else { format!("[T, B, {n}]") };
            floats("batch.y", &y, &mut batch.values[from * n..], &shape)?;
        }
    }
    let mask = field(object, "mask");
    if mask.is_undefined() || mask.is_null() {
        batch.mask[from..from + scored].fill(1.0);
    } else {
        floats("batch.mask", &mask, &mut batch.mask, "[T, B]")?;
        batch.mask[..from].fill(0.0);
    }
    for (mask, &class) in batch.mask.iter_mut().zip(&batch.classes) {
        if class == IGNORED {
            *mask = 0.0;
        }
    }
    Ok(batch)
}

fn field(object: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn floats(path: &str, array: &JsValue, to: &mut [f32], shape: &str) -> Result<()> {
    match array.dyn_ref::<js_sys::Float32Array>() {
        Some(array) if array.length() as usize == to.len() => {
            array.copy_to(to);
            Ok(())
        }
        _ => Err(mismatch(path, "Float32Array", shape, to.len(), array)),
    }
}

fn words(path: &str, array: &JsValue, to: &mut [u32], shape: &str) -> Result<()> {
    match array.dyn_ref::<js_sys::Uint32Array>() {
        Some(array) if array.length() as usize == to.len() => {
            array.copy_to(to);
            Ok(())
        }
        _ => Err(mismatch(path, "Uint32Array", shape, to.len(), array)),
    }
}

fn mismatch(path: &str, kind: &str, shape: &str, len: usize, got: &JsValue) -> Error {
    Error::invalid(path, format!("{kind} {shape} of {len} elements"), value::name(got))
}
