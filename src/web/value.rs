//! From JavaScript values to the trees that configurations are read from.
//!
//! Reading a value can run the caller's code (getters, proxies), which can throw or call a session again: everything here catches, and
//! nothing here is called while a session is borrowed.

use crate::options::Value;
use js_sys::{ArrayBuffer, Reflect};
use wasm_bindgen::prelude::*;

/// Depth at which a tree is cut, so that a cycle ends.
const DEPTH: usize = 4;

/// Values at which a tree is cut: a small cycle branches, and a big object is no configuration.
const VALUES: usize = 1000;

#[wasm_bindgen]
extern "C" {
    /// js-sys has it without `catch`; a getter that throws would unwind through a borrow.
    #[wasm_bindgen(catch, js_namespace = Object, js_name = entries)]
    fn entries(object: &JsValue) -> Result<js_sys::Array, JsValue>;

    /// As above: a revoked proxy throws.
    #[wasm_bindgen(catch, js_namespace = Array, js_name = isArray)]
    fn is_array(value: &JsValue) -> Result<bool, JsValue>;
}

/// Reads a value. What has no place in a configuration becomes a [`Value::Other`] that names it; a field that is `undefined` counts as
/// missing.
pub fn read(value: &JsValue) -> Value {
    tree(value, DEPTH, &mut VALUES.clone())
}

fn tree(value: &JsValue, depth: usize, left: &mut usize) -> Value {
    if value.is_null() || value.is_undefined() {
        return Value::Null;
    }
    if let Some(b) = value.as_bool() {
        return Value::Bool(b);
    }
    if let Some(n) = value.as_f64() {
        return Value::Number(n);
    }
    if let Some(text) = value.as_string() {
        return Value::Text(text);
    }
    if !value.is_object() || is_array(value) != Ok(false) || ArrayBuffer::is_view(value) {
        return Value::Other(name(value));
    }
    if depth == 0 {
        return Value::Other("an object inside too many others".to_owned());
    }
    let Ok(entries) = entries(value) else { return Value::Other("an object that cannot be read".to_owned()) };
    if entries.length() as usize > *left {
        return Value::Other("an object with too many fields".to_owned());
    }
    *left -= entries.length() as usize;
    let field = |entry: JsValue| {
        let entry: js_sys::Array = entry.unchecked_into();
        let value = entry.get(1);
        (!value.is_undefined()).then(|| (entry.get(0).as_string().unwrap_or_default(), tree(&value, depth - 1, left)))
    };
    Value::Map(entries.iter().filter_map(field).collect())
}

/// Reads JSON.
pub fn json(text: &str) -> Option<Value> {
    js_sys::JSON::parse(text).ok().map(|value| plain(&value))
}

/// A value that was read from JSON: a tree without getters, proxies or cycles.
fn plain(value: &JsValue) -> Value {
    if let Some(items) = value.dyn_ref::<js_sys::Array>() {
        return Value::List(items.iter().map(|item| plain(&item)).collect());
    }
    if !value.is_object() {
        return read(value);
    }
    let field = |entry: JsValue| {
        let entry: js_sys::Array = entry.unchecked_into();
        (entry.get(0).as_string().unwrap_or_default(), plain(&entry.get(1)))
    };
    Value::Map(entries(value).unwrap_or_default().iter().map(field).collect())
}

/// What a value is, for an error message.
pub fn name(value: &JsValue) -> String {
    let scalar = value.is_null()
        || value.is_undefined()
        || value.as_bool().is_some()
        || value.as_f64().is_some()
        || value.is_string();
    if scalar {
        return read(value).to_string();
    }
    if !value.is_object() {
        let kind = value.js_typeof().as_string().unwrap_or_default();
        return format!("a {kind}");
    }
    let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).ok();
    let class = get(value, "constructor")
        .filter(JsValue::is_function)
        .and_then(|constructor| get(&constructor, "name")?.as_string())
        .filter(|class| !class.is_empty());
    let length = get(value, "length").and_then(|length| length.as_f64());
    let listed = is_array(value) == Ok(true) || ArrayBuffer::is_view(value);
    match (class, length) {
        (Some(class), Some(length)) if listed => format!("{class} of {}", Value::from(length)),
        (Some(class), _) if class != "Object" => format!("an object of class {}", Value::Text(class)),
        _ => "an object".to_owned(),
    }
}

/// The value as a typed array of a class, when it is a real one: a proxy passes for an instance, but has no elements.
pub fn typed<T: JsCast>(value: &JsValue) -> Option<&T> {
    value.dyn_ref::<T>().filter(|_| ArrayBuffer::is_view(value))
}

/// A field of an object; undefined when there is none or it cannot be read.
pub fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// The names of an object's own fields that are not undefined.
pub fn fields(object: &JsValue) -> Vec<String> {
    let entries = entries(object).unwrap_or_default();
    let pairs = entries.iter().map(|entry| entry.unchecked_into::<js_sys::Array>());
    pairs.filter(|pair| !pair.get(1).is_undefined()).filter_map(|pair| pair.get(0).as_string()).collect()
}
