// What the adapter can do at best, for the limits that the bench reports. `rounds` is not known when the shader is compiled, and what is
// computed is written, so that nothing can be left out.

@group(0) @binding(0) var<uniform> rounds: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;

const WIDTH = 256u;
const SIDE = 65535u;

/// The place of an invocation in a grid of as many as SIDE workgroups in each row.
fn place(group: vec3<u32>, index: u32) -> u32 {
  return (group.y * SIDE + group.x) * WIDTH + index;
}

/// Eight chains of four multiplications with additions, 64 operations a round, in registers alone.
@compute @workgroup_size(WIDTH)
fn arithmetic(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let x = vec4(f32(index) * 1e-9 + 0.5);
  let y = vec4(0.25);
  var a = x;
  var b = x + 0.1;
  var c = x + 0.2;
  var d = x + 0.3;
  var e = x + 0.4;
  var f = x + 0.5;
  var g = x + 0.6;
  var h = x + 0.7;
  for (var round = 0u; round < rounds.x; round++) {
    a = fma(a, x, y);
    b = fma(b, x, y);
    c = fma(c, x, y);
    d = fma(d, x, y);
    e = fma(e, x, y);
    f = fma(f, x, y);
    g = fma(g, x, y);
    h = fma(h, x, y);
  }
  result[place(group, index) % arrayLength(&result)] = a + b + c + d + e + f + g + h;
}

/// One vector read and one written by each invocation.
@compute @workgroup_size(WIDTH)
fn traffic(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let at = place(group, index);
  if at < arrayLength(&result) {
    result[at] = source[at];
  }
}

/// A workgroup reads the first `rounds.y` vectors again and again, as a time loop does with its weights.
@compute @workgroup_size(WIDTH)
fn stream(@builtin(local_invocation_index) index: u32) {
  var sum = vec4(0.0);
  for (var round = 0u; round < rounds.x; round++) {
    for (var at = index; at < rounds.y; at += WIDTH) {
      sum += source[(at + round) % rounds.y];
    }
  }
  result[index] = sum;
}

/// A workgroup that does nothing but wait for itself.
@compute @workgroup_size(WIDTH)
fn barrier(@builtin(local_invocation_index) index: u32) {
  for (var round = 0u; round < rounds.x; round++) {
    workgroupBarrier();
  }
  result[index] = vec4(f32(rounds.x));
}

@compute @workgroup_size(1)
fn nothing() {
  result[0] += source[0];
}
