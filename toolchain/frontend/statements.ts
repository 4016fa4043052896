/**
 * Statements. If a statement is refused, lowering continues with the next one, so that one run reports several errors.
 */
import type { Block, Instr } from "../ir/ir.ts";
import { ts } from "./adapter.ts";
import { attrCall } from "./attributes.ts";
import { condition } from "./conditions.ts";
import { coerce, materialise, store } from "./conversions.ts";
import { Refused } from "./diagnostics.ts";
import { initialise, initialiserType } from "./initialise.ts";
import type { Lowering, Target } from "./lowering.ts";
import { excerpt } from "./report.ts";
import { I64, isAggregate, isScalar, type MachineType, showType, U64 } from "./types.ts";
import { defaultType, isUntyped, type Place, type Value } from "./values.ts";

export function statements(ctx: Lowering, list: readonly ts.Statement[]): void {
  for (const s of list) statement(ctx, s);
}
export function statement(ctx: Lowering, node: ts.Statement): void {
  const depth = ctx.targets.length;
  try {
    lower(ctx, node);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    ctx.targets.length = depth;
    ctx.pendingLabel = null;
  }
}

function lower(ctx: Lowering, node: ts.Statement): void {
  const { unit } = ctx;
  unit.currentNode = node;
  if (ts.isBlock(node)) return ctx.within(node.statements.some(declares), () => statements(ctx, node.statements));
  if (ts.isExpressionStatement(node)) return void ctx.expression(node.expression);
  if (ts.isVariableStatement(node)) return declarations(ctx, node.declarationList);
  if (ts.isIfStatement(node)) return ifStatement(ctx, node);
  if (ts.isReturnStatement(node)) return returnStatement(ctx, node);
  if (ts.isForStatement(node)) return forStatement(ctx, node);
  if (ts.isWhileStatement(node)) return loop(ctx, node, { test: node.expression, body: node.statement });
  if (ts.isDoStatement(node)) return loop(ctx, node, { test: node.expression, body: node.statement, testLast: true });
  if (ts.isBreakOrContinueStatement(node)) return leave(ctx, node);
  if (ts.isSwitchStatement(node)) return switchStatement(ctx, node);
  if (ts.isLabeledStatement(node)) return labeled(ctx, node);
  if (ts.isEmptyStatement(node)) return;
  if (ts.isForOfStatement(node) || ts.isForInStatement(node)) {
    const instead = `for (let i: u64 = 0; i < n; i++), with ${excerpt(node.expression)}[i] in it,`;
    return unit.refuse(node, "MG1003", `for…of and for…in need iterators; write ${instead} instead`);
  }
  if (ts.isThrowStatement(node) || ts.isTryStatement(node))
    return unit.refuse(node, "MG1004", "there are no exceptions; write a return of an error number instead");
  if (ts.isFunctionDeclaration(node))
    return unit.refuse(node, "MG1002", "function inside a function; write it at the top level instead");
  if (
    ts.isClassDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isModuleDeclaration(node)
  ) {
    return unit.refuse(node, "MG1025", "declaration inside a function; write it at the top level instead");
  }
  return unit.refuse(
    node,
    "MG1024",
    `${excerpt(node)} is outside the language; write a construct of toolchain/README.md instead`,
  );
}

/** Whether a statement adds a name to its block. */
const declares = (node: ts.Statement): boolean => ts.isVariableStatement(node);

// ---- variables
function declarations(ctx: Lowering, list: ts.VariableDeclarationList): void {
  if (!(list.flags & ts.NodeFlags.BlockScoped)) {
    const names = list.declarations.map((d) => excerpt(d)).join(", ");
    ctx.unit.report(list, "MG1009", `var ${names.slice(0, 40)} has function scope; write let or const instead`);
  }
  for (const d of list.declarations) declaration(ctx, d);
}
function declaration(ctx: Lowering, d: ts.VariableDeclaration): void {
  const { unit } = ctx;
  if (!ts.isIdentifier(d.name)) {
    const from = d.initializer ? excerpt(d.initializer) : "p";
    return unit.refuse(
      d.name,
      "MG1006",
      `destructuring; write a declaration for each name, const a = ${from}.a say, instead`,
    );
  }
  const symbol = unit.source.symbol(d.name);
  if (!symbol) return unit.resolver.unknown(d.name);
  ctx.locals.set(symbol, null);
  const isConst = (d.parent.flags & ts.NodeFlags.Const) !== 0;
  let type = d.type ? ctx.type(d.type) : null;
  if (type && !isScalar(type) && !isAggregate(type))
    return unit.refuse(d.type ?? d, "MG2008", `${showType(type)} has no size; write a machine type instead`);
  if (!type && !d.initializer)
    return unit.refuse(d, "MG2011", `${d.name.text} has no type; write ${d.name.text}: u64, say, instead`);
  type ??= d.initializer ? initialiserType(ctx, d.initializer) : null;
  const slotOf = (t: MachineType): Place => {
    const size = unit.resolver.sizeOf(t, d);
    const align = unit.resolver.alignOf(t, d);
    return { type: t, base: { type: U64, instr: ctx.emit(d).alloca(size, align, d.name.getText()) }, offset: 0n };
  };
  if (type && (isAggregate(type) || !d.initializer)) {
    const place = slotOf(type);
    ctx.locals.set(symbol, { place });
    ctx.declare(d.name, type, d.type, place.base.instr as Instr, true);
    if (d.initializer) initialise(ctx, place, d.initializer);
    return;
  }
  const init = d.initializer as ts.Expression;
  let value: Value;
  try {
    value = ctx.expression(init, type);
    if (type) value = coerce(ctx, value, type, init);
  } catch (e) {
    // The variable has a declared type, so it remains usable for further checks.
    if (type) ctx.locals.set(symbol, { place: slotOf(type) });
    throw e;
  }
  if (
    isConst &&
    !ctx.stored.has(symbol) &&
    !value.instr &&
    !value.place &&
    value.type.kind !== "null" &&
    value.type.kind !== "void"
  ) {
    ctx.locals.set(symbol, { value: { ...value, narrow: false } });
    ctx.declare(d.name, value.type, d.type, value, false);
    return;
  }
  if (!type) {
    type = defaultType(value.type);
    if (isAggregate(type)) coerce(ctx, value, type, init);
    if (!isScalar(type)) {
      const what = value.type.kind === "null" ? `${d.name.text}: ptr<T> | null` : "an expression with a value";
      return unit.refuse(
        init,
        "MG2005",
        `${excerpt(init)} is ${showType(value.type)}, which is no type of a variable; write ${what} instead`,
      );
    }
    if (isUntyped(value)) value = coerce(ctx, value, type, init);
  }
  const place = slotOf(type);
  ctx.locals.set(symbol, { place });
  store(ctx, place, value, d);
  ctx.declare(d.name, type, d.type, place.base.instr as Instr, true);
}

// ---- control
function ifStatement(ctx: Lowering, node: ts.IfStatement): void {
  const b = ctx.emit(node);
  const then = b.createBlock();
  const join = b.createBlock();
  const otherwise = node.elseStatement ? b.createBlock() : join;
  guard(ctx, () => condition(ctx, node.expression, then, otherwise));
  b.enter(then);
  statement(ctx, node.thenStatement);
  ctx.emit(node).jump(join);
  if (node.elseStatement) {
    b.enter(otherwise);
    statement(ctx, node.elseStatement);
    ctx.emit(node).jump(join);
  }
  b.enter(join);
}
/** A refused condition does not prevent checks of the statement's bodies. */
function guard(ctx: Lowering, lowerIt: () => void): void {
  try {
    lowerIt();
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    ctx.builder?.unreachable();
  }
}

function returnStatement(ctx: Lowering, node: ts.ReturnStatement): void {
  const { unit, entity } = ctx;
  const result = entity?.type.result;
  if (!result) return;
  if (!node.expression) {
    if (result.kind !== "void")
      unit.refuse(node, "MG2005", `the function returns ${showType(result)}; write return with a value instead`);
    return ctx.emit(node).ret();
  }
  const value = ctx.expression(node.expression, result);
  if (result.kind === "void" || result.kind === "never") {
    if (value.type.kind !== "void" && value.type.kind !== "never")
      unit.refuse(
        node.expression,
        "MG2005",
        `the function returns ${showType(result)}; write return without a value instead`,
      );
    return result.kind === "void" ? ctx.emit(node).ret() : ctx.emit(node).unreachable();
  }
  const operand = materialise(ctx, coerce(ctx, value, result, node.expression), node);
  ctx.emit(node).ret(operand);
}

interface Loop {
  readonly test: ts.Expression | undefined;
  readonly body: ts.Statement;
  readonly increment?: ts.Expression | undefined;
  readonly testLast?: boolean;
}
function forStatement(ctx: Lowering, node: ts.ForStatement): void {
  const init = node.initializer;
  const label = ctx.pendingLabel;
  ctx.pendingLabel = null;
  ctx.within(init !== undefined && ts.isVariableDeclarationList(init), () => {
    if (init && ts.isVariableDeclarationList(init)) {
      guardDeclarations(ctx, init);
    } else if (init) ctx.expression(init);
    ctx.pendingLabel = label;
    loop(ctx, node, { test: node.condition, body: node.statement, increment: node.incrementor });
  });
}
function guardDeclarations(ctx: Lowering, list: ts.VariableDeclarationList): void {
  try {
    declarations(ctx, list);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
  }
}
function loop(ctx: Lowering, node: ts.Statement, { test, body, increment, testLast }: Loop): void {
  const b = ctx.emit(node);
  const head = b.createBlock();
  const bodyBlock = testLast ? head : b.createBlock();
  const next = b.createBlock();
  const exit = b.createBlock();
  b.jump(head);
  b.enter(head);
  const runTest = (): void => {
    if (test) guard(ctx, () => condition(ctx, test, bodyBlock, exit));
    else ctx.emit(node).jump(bodyBlock);
  };
  if (!testLast) {
    runTest();
    b.enter(bodyBlock);
  }
  within(ctx, { label: takeLabel(ctx), breakTo: exit, continueTo: next }, () => statement(ctx, body));
  ctx.emit(node).jump(next);
  b.enter(next);
  if (testLast) runTest();
  else {
    if (increment) guard(ctx, () => void ctx.expression(increment));
    ctx.emit(node).jump(head);
  }
  b.enter(exit);
}
function within(ctx: Lowering, target: Target, lowerIt: () => void): void {
  ctx.targets.push(target);
  lowerIt();
  ctx.targets.pop();
}
function takeLabel(ctx: Lowering): string | null {
  const label = ctx.pendingLabel;
  ctx.pendingLabel = null;
  return label;
}
function labeled(ctx: Lowering, node: ts.LabeledStatement): void {
  const inner = node.statement;
  if (ts.isIterationStatement(inner, false) || ts.isSwitchStatement(inner)) {
    ctx.pendingLabel = node.label.text;
    lower(ctx, inner);
    ctx.pendingLabel = null;
    return;
  }
  const exit = ctx.emit(node).createBlock();
  within(ctx, { label: node.label.text, breakTo: exit, continueTo: null }, () => statement(ctx, inner));
  ctx.emit(node).jump(exit);
  ctx.emit(node).enter(exit);
}
function leave(ctx: Lowering, node: ts.BreakOrContinueStatement): void {
  const isBreak = ts.isBreakStatement(node);
  const label = node.label?.text;
  for (const target of [...ctx.targets].reverse()) {
    // A labelled block can be left only by its name.
    if (
      label === undefined
        ? target.continueTo === null && target.label !== null && !switches.has(target)
        : target.label !== label
    )
      continue;
    const to = isBreak ? target.breakTo : target.continueTo;
    if (to) return ctx.emit(node).jump(to);
  }
  ctx.unit.refuse(node, "MG1021", `${excerpt(node)} leaves nothing; write it inside a loop instead`);
}
/** Targets that are switches: break without a label leaves them. */
const switches = new WeakSet<Target>();

function switchStatement(ctx: Lowering, node: ts.SwitchStatement): void {
  const { unit } = ctx;
  const raw = ctx.expression(node.expression);
  const value = raw.type.kind === "untyped" ? coerce(ctx, raw, I64, node.expression) : raw;
  if (value.type.kind !== "int") {
    if (value.type.kind === "error") coerce(ctx, value, I64, node.expression);
    return unit.refuse(
      node.expression,
      "MG1022",
      `${excerpt(node.expression)} is ${showType(value.type)}; write if and else instead`,
    );
  }
  const operand = materialise(ctx, value, node);
  const b = ctx.emit(node);
  const exit = b.createBlock();
  const start = b.block;
  const cases: bigint[] = [];
  const targets: Block[] = [];
  let otherwise: Block = exit;
  const target: Target = { label: takeLabel(ctx), breakTo: exit, continueTo: null };
  switches.add(target);
  const blocks = node.caseBlock.clauses.map((clause) => {
    const block = b.createBlock();
    if (ts.isDefaultClause(clause)) otherwise = block;
    else {
      guard(ctx, () => {
        const constant = coerce(
          ctx,
          ctx.expression(clause.expression, value.type),
          value.type,
          clause.expression,
        ).constant;
        if (constant === undefined)
          return unit.refuse(
            clause.expression,
            "MG1022",
            `${excerpt(clause.expression)} is no constant; write if and else instead`,
          );
        if (cases.includes(constant))
          unit.refuse(clause.expression, "MG1022", `case ${constant} stands twice; write one of them instead`);
        cases.push(constant);
        targets.push(block);
      });
    }
    return block;
  });
  b.enter(start);
  ctx.emit(node).switch(operand, cases, targets, otherwise);
  const declaring = node.caseBlock.clauses.some((clause) => clause.statements.some(declares));
  within(ctx, target, () =>
    ctx.within(declaring, () =>
      node.caseBlock.clauses.forEach((clause, i) => {
        const block = blocks[i] as Block;
        if (i > 0) ctx.emit(clause).jump(block);
        b.enter(block);
        statements(ctx, clause.statements);
      }),
    ),
  );
  if (blocks.length > 0) ctx.emit(node).jump(exit);
  b.enter(exit);
}

/** Emits no loads: the body of a naked function is assembly only. */
export function nakedBody(ctx: Lowering, body: ts.Block): void {
  for (const s of body.statements) {
    if (attrCall(ctx.unit, s) || ts.isEmptyStatement(s)) continue;
    if (ts.isExpressionStatement(s) && ts.isTaggedTemplateExpression(s.expression)) statement(ctx, s);
    else ctx.unit.report(s, "MG4002", `${excerpt(s)} needs a frame; write asm\`…\` instead`);
  }
}
