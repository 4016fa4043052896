/**
 * The minimal global types that the TypeScript checker requires under `noLib`. Nothing of the DOM or the ES library
 * exists in the subset: `map()` or `Promise` is a type error.
 */
interface Boolean {}
interface Function {}
interface CallableFunction extends Function {}
interface NewableFunction extends Function {}
interface IArguments {}
interface Number {}
interface Object {}
interface RegExp {}
interface String {
  readonly length: number;
  charCodeAt(index: number): number;
}
interface Array<T> {
  readonly length: number;
  [n: number]: T;
}
interface TemplateStringsArray {
  readonly [n: number]: string;
  readonly length: number;
  readonly raw: readonly string[];
}
interface Symbol {}
interface SymbolConstructor {
  readonly iterator: unique symbol;
}
declare var Symbol: SymbolConstructor;
interface ClassDecoratorContext<Class> {}
interface ClassFieldDecoratorContext<This, Value> {}
type NoInfer<T> = intrinsic;
