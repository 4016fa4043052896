/**
 * Gives each natural loop a preheader: one block outside it that only jumps to its header. Values that a loop needs
 * repeatedly are computed there. Otherwise they would be placed in the header's dominator, which may be inside an
 * earlier loop. The pass `cfg` removes empty preheaders, so this pass runs before those that need them.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, findLoops, phisOf, removeIncoming, terminatorOf } from "../ir/cfg.ts";
import { Block, type Func } from "../ir/ir.ts";
import { firstOf } from "./debug.ts";

export function preheaders(func: Func): void {
  for (const { header, blocks } of findLoops(new Dominators(func))) {
    if (preheaderOf(header, blocks) === null) makePreheader(func, header, blocks);
  }
}

/** The only predecessor from outside the loop, if it has no other successor. */
export function preheaderOf(header: Block, blocks: ReadonlySet<Block>): Block | null {
  const outside = header.preds.filter((p) => !blocks.has(p));
  return outside.length === 1 && terminatorOf(outside[0]).targets.length === 1 ? outside[0] : null;
}

function makePreheader(func: Func, header: Block, blocks: ReadonlySet<Block>): void {
  const block = new Block(func.blocks.reduce((max, b) => Math.max(max, b.id + 1), 0));
  // One entry per edge: a block with two edges to the header is there twice.
  const outside = header.preds.filter((p) => !blocks.has(p));
  const at = header.preds.flatMap((p, i) => (blocks.has(p) ? [] : [i]));
  const { loc } = firstOf(header);
  const values = phisOf(header).map((phi) => {
    const incoming = at.map((i) => phi.args[i]);
    if (incoming.every((value) => value === incoming[0])) return incoming[0];
    const merged = numbered(func, make.phi(phi.type, incoming, phi.name, phi.loc));
    merged.block = block;
    block.instrs.push(merged);
    return merged;
  });
  for (const pred of outside) removeIncoming(header, pred);
  for (const pred of new Set(outside)) {
    const { targets } = terminatorOf(pred);
    for (let i = 0; i < targets.length; i++) if (targets[i] === header) targets[i] = block;
  }
  block.preds = outside;
  header.preds.push(block);
  phisOf(header).forEach((phi, i) => phi.args.push(values[i]));
  const jump = numbered(func, make.jump(header, loc));
  jump.block = block;
  block.instrs.push(jump);
  func.blocks.splice(func.blocks.indexOf(header), 0, block);
}
