/** What a host that knows WebAssembly modules makes of a file. */
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
