/**
 * Loop rotation: a loop that is tested at its head becomes a guard, a copy of that test in front of it, and a loop
 * that is tested at its end. What the loop's first turn surely does is then done whenever the loop is entered at all,
 * and `licm` may do it in front; guards whose outcome is known fold away. Each turn has one jump less, too, than with
 * the test on top.
 *
 * Only where the test is short and nothing in it may not be there twice, and not where the loop has a test at its end
 * already.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, findLoops, phisOf, terminatorOf } from "../ir/cfg.ts";
import type { Block, Func } from "../ir/ir.ts";
import { append, copyInto, leadTo, newBlock, repair, sizeOfCopy } from "./duplicate.ts";

/** Instructions of the test, leaves not counted. */
const MAX_COPIED = 8;

export function rotate(func: Func): void {
  // Blocks that one rotation makes belong to the loops around it.
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

/** Gives the blocks that it makes; the loop's new header is the second. */
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

  // The test now stands behind the loop's other blocks, and leads back to a new head in front of them.
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
