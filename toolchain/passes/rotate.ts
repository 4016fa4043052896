/**
 * Loop rotation: a loop that is tested at its head becomes a guard, which is a copy of the test before the loop, and a
 * loop that is tested at its end. Code that the first iteration always executes is then executed whenever the loop is
 * entered, so `licm` may move it out; guards with a known outcome fold away. Each iteration also needs one jump less.
 *
 * Only if the test is short and everything in it may be duplicated, and if the loop has no test at its end already.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, findLoops, phisOf, terminatorOf } from "../ir/cfg.ts";
import type { Block, Func } from "../ir/ir.ts";
import { append, copyInto, leadTo, newBlock, repair, sizeOfCopy } from "./duplicate.ts";

/** Most instructions of the test, without leaves. */
const MAX_COPIED = 8;

export function rotate(func: Func): void {
  // Blocks that one rotation creates belong to the enclosing loops.
  const loops = findLoops(new Dominators(func)).map(({ header, blocks }) => ({ header, blocks: new Set(blocks) }));
  for (const { header, blocks } of loops.reverse()) {
    if (!isWorthIt(header, blocks)) continue;
    const made = rotateLoop(func, header, blocks);
    for (const outer of loops)
      if (outer.header !== header && outer.blocks.has(header)) for (const block of made) outer.blocks.add(block);
  }
}

function isWorthIt(header: Block, blocks: ReadonlySet<Block>): boolean {
  const last = terminatorOf(header);
  if (last.op !== "branch" || last.targets.filter((t) => blocks.has(t)).length !== 1 || last.targets.includes(header))
    return false;
  const latches = header.preds.filter((p) => blocks.has(p));
  if (latches.some((latch) => terminatorOf(latch).targets.some((t) => !blocks.has(t)))) return false;
  const size = sizeOfCopy(header);
  return size !== null && size <= MAX_COPIED;
}

/** Returns the new blocks; the second one is the loop's new header. */
function rotateLoop(func: Func, header: Block, blocks: Set<Block>): Block[] {
  const last = terminatorOf(header);
  const side = blocks.has(last.targets[0]) ? 0 : 1;
  const [body, exit] = [last.targets[side], last.targets[1 - side]];
  const guard = newBlock(func);
  const values = leadTo(
    func,
    header,
    header.preds.filter((p) => !blocks.has(p)),
    guard,
  );
  copyInto(func, header, guard, values);
  const condition = values.get(last.args[0]) ?? last.args[0];
  const test = append(guard, numbered(func, make.branch(condition, [body, exit], last.loc)));
  func.blocks.splice(func.blocks.indexOf(header), 0, guard);

  // The test is now placed after the loop's other blocks and leads back to a new head before them.
  const head = newBlock(func);
  append(head, numbered(func, make.jump(body, last.loc)));
  last.targets[side] = head;
  head.preds = [header, guard];
  test.targets = [...last.targets];
  body.preds[body.preds.indexOf(header)] = head;
  func.blocks.splice(func.blocks.indexOf(header), 1);
  const end = func.blocks.findLastIndex((b) => blocks.has(b));
  func.blocks.splice(end + 1, 0, header);
  func.blocks.splice(func.blocks.indexOf(body), 0, head);
  const edge = exit.preds.indexOf(header);
  exit.preds.push(guard);
  for (const phi of phisOf(exit)) phi.args.push(phi.args[edge]);
  repair(func, header, new Map([[guard, values]]));
  return [guard, head];
}
