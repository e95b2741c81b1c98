/** The modules of brain.js that the bench takes; the library declares no types for them. They are CommonJS. */
declare module "brain.js/dist/recurrent/*.js" {
  const module: { default: new (options: object) => unknown };
  export default module;
}
