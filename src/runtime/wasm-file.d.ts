/** A .wasm file as imported by a host that knows WebAssembly modules. */
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
