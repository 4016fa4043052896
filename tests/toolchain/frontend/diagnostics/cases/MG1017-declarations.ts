interface Shape { area: u64; }
namespace Inner { export const n = 1; }
class Square implements Shape { area: u64 = 0; }
export function f(s: ptr<Shape>, q: ptr<Square>): void {}
export default f;
