class A { x: u32 = 0; }
class B { x: u32 = 0; }
class C extends A { y: u32 = 0; }
export function f(a: ptr<A>, c: ptr<C>): void {
  const wrong: ptr<B> = a;
  const up: ptr<A> = c;
  const down: ptr<C> = cast<ptr<C>>(a);
  const s: A = new B();
}
