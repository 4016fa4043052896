/**
 * Reads the text format of `printer.ts`, for tests, dumps and reduced failures. An error names the line; nothing is
 * repaired. The result may still be ill-formed IR: the verifier checks that.
 */
import type { DebugConstant, DebugType } from "../link/debug.ts";
import { make } from "./builder.ts";
import {
  type AsmBlock,
  type AsmOperand,
  Block,
  type Data,
  Func,
  type FunctionAttributes,
  type Instr,
  type Loc,
  Module,
  NO_LOC,
  type Scope,
  type Variable,
} from "./ir.ts";
import { type Op, ops, type Type, widthOf } from "./ops.ts";

/** Throws Error with `line N: what`. */
export function parseModule(text: string): Module {
  const module = new Module("");
  let data: Data | null = null;
  let bytes: number[] = [];
  let func: FunctionParser | null = null;
  text.split("\n").forEach((line, index) => {
    const s = new Scanner(line, index + 1);
    if (s.done()) return;
    if (func !== null) {
      if (s.take("}")) {
        module.functions.set(func.func.name, func.finish());
        func = null;
      } else func.line(s);
    } else if (s.take("module")) module.name = s.string();
    else if (s.take("file")) {
      s.number();
      module.files.push(s.string());
    } else if (s.take("type")) module.types.push(reviveType(s.json()));
    else if (s.take("constant")) module.constants.push(reviveConstant(s.json()));
    else if (s.take("data")) {
      data = parseData(s);
      bytes = [];
      module.data.set(data.name, data);
    } else if (data !== null && s.take("bytes")) {
      bytes.push(...Buffer.from(s.word(), "hex"));
      data.bytes = Uint8Array.from(bytes);
    } else if (data !== null && s.take("reloc"))
      data.relocations.push({ offset: s.number(), symbol: s.symbol(), addend: s.addend() });
    else if (s.take("func")) func = new FunctionParser(s);
    else s.fail("module, file, data or func expected");
  });
  if (func !== null) throw new Error("text ends within a function");
  return module;
}

function parseData(s: Scanner): Data {
  const name = s.symbol();
  const sourceName = s.string();
  s.expect("section");
  const section = s.string();
  s.expect("align");
  const align = s.number();
  s.expect("size");
  const size = s.number();
  const readonly = s.take("readonly");
  const keep = s.take("keep");
  const type = s.take("type") ? { type: s.number() } : {};
  return {
    name,
    sourceName,
    section,
    align,
    size,
    bytes: null,
    relocations: [],
    readonly,
    keep,
    ...type,
    loc: s.position(NO_LOC, NO_LOC),
  };
}

/** Placeholder for operands until all values are known (`finish`). */
const LATER = make.plain("undef", "void", [], NO_LOC);

/** An instruction, and the ids of its operands, which may be defined later. */
interface Parsed {
  readonly instr: Instr;
  readonly ids: number[];
}

class FunctionParser {
  readonly func: Func;
  #block: Block | null = null;
  #last: Loc;
  readonly #blocks = new Map<number, Block>();
  readonly #values = new Map<number, Instr>();
  /** Values may be used before the line that defines them; they are resolved at the end. */
  readonly #uses: { instr: Instr; ids: number[]; line: number }[] = [];
  readonly #scopes: Scope[] = [];
  readonly #variables: Variable[] = [];

  constructor(s: Scanner) {
    const name = s.symbol();
    const sourceName = s.string();
    const params: { name: string; type: Type }[] = [];
    s.expect("(");
    while (!s.take(")")) {
      params.push({ type: s.type(), name: s.string() });
      s.take(",");
    }
    const result = s.type();
    const attributes: FunctionAttributes = {
      naked: false,
      bits: 64,
      section: ".text",
      align: 0,
      inline: "auto",
      noreturn: false,
      keep: false,
    };
    for (;;) {
      if (s.take("section")) attributes.section = s.string();
      else if (s.take("align")) attributes.align = s.number();
      else if (s.take("bits")) attributes.bits = s.number() as 16 | 32 | 64;
      else if (s.take("inline=")) attributes.inline = s.word() as FunctionAttributes["inline"];
      else if (s.take("naked")) attributes.naked = true;
      else if (s.take("noreturn")) attributes.noreturn = true;
      else if (s.take("keep")) attributes.keep = true;
      else break;
    }
    this.#last = s.position(NO_LOC, NO_LOC);
    s.expect("{");
    this.func = new Func(name, sourceName, params, result, attributes, this.#last);
  }

  line(s: Scanner): void {
    const label = s.label();
    if (label !== null) {
      this.#block = this.#blockOf(label);
      this.func.blocks.push(this.#block);
      if (s.take("preds"))
        do this.#block.preds.push(this.#blockOf(s.block()));
        while (s.take(","));
      return;
    }
    if (this.#block === null && s.take("scope")) return this.#scope(s);
    if (this.#block === null && s.take("var")) return this.#variable(s);
    if (this.#block === null) return s.fail("block label expected");
    let id = -1;
    if (s.peek("%")) {
      id = s.value();
      s.expect("=");
    }
    const op = s.word() as Op;
    if (!Object.hasOwn(ops, op)) s.fail(`unknown operation ${op}`);
    const { instr, ids } = this.#instruction(s, op, id < 0 ? "void" : s.type());
    instr.id = id;
    instr.block = this.#block;
    this.#block.instrs.push(instr);
    if (id >= 0) {
      if (this.#values.has(id)) s.fail(`%${id} is defined twice`);
      this.#values.set(id, instr);
    }
    this.#uses.push({ instr, ids, line: s.number1 });
    instr.loc = this.#last = s.position(this.#last, NO_LOC, this.#scopes);
    if (!s.done()) s.fail("end of line expected");
  }

  #scope(s: Scanner): void {
    s.number();
    const parent = s.take("in") ? this.#scopes[s.number()] : null;
    const inlinedAt = s.take("at") ? s.position(NO_LOC, NO_LOC, this.#scopes) : null;
    const name = s.string();
    const sourceName = s.string();
    const result = Number(s.bigint());
    const loc = s.position(NO_LOC, NO_LOC);
    // Scopes of one function share its description, as the frontend makes them.
    const scope: Scope = { parent, function: parent?.function ?? { name, sourceName, loc, result }, inlinedAt };
    this.#scopes.push(scope);
    if (parent === null && inlinedAt === null) this.func.scope = scope;
  }
  #variable(s: Scanner): void {
    s.number();
    const name = s.string();
    s.expect("type");
    const type = Number(s.bigint());
    s.expect("scope");
    const scope = this.#scopes[s.number()];
    const parameter = s.take("param") ? s.number() : -1;
    this.#variables.push({ name, type, scope, parameter, loc: s.position(NO_LOC, NO_LOC) });
  }
  #debugValue(s: Scanner): Parsed {
    s.expect("var");
    const variable = this.#variables[s.number()];
    s.expect("bytes");
    const offset = s.number();
    const bytes = s.number();
    s.expect("=");
    const indirect = s.take("[");
    let watched: Instr | null = null;
    // The id of the watched value, unless it is a leaf.
    const ids: number[] = [];
    if (s.peek("%")) ids.push(s.value());
    else if (!s.take("?")) {
      const op = s.word() as Op;
      watched = this.#instruction(s, op, op === "const" ? s.type() : op === "fconst" ? "f64" : "i64").instr;
    }
    if (indirect) s.expect("]");
    return { instr: make.debug({ variable, watched, indirect, offset, bytes }, NO_LOC), ids };
  }

  /** Parses what follows `op` and its type. */
  #instruction(s: Scanner, op: Op, type: Type): Parsed {
    const ids: number[] = [];
    const list = (end: string): void => {
      while (!s.take(end)) {
        ids.push(s.value());
        s.take(",");
      }
    };
    const operands = (): void => {
      if (s.peek("%"))
        do ids.push(s.value());
        while (s.take(","));
    };
    const block = (): Block => this.#blockOf(s.block());
    const name = (): string => (s.peek('"') ? s.string() : "");
    const sized = (): [size: number, align: number] => {
      while (s.peek("%")) ids.push(s.value());
      s.expect("size");
      const size = s.number();
      s.expect("align");
      return [size, s.number()];
    };
    const parsed = (instr: Instr): Parsed => ({ instr, ids });
    switch (op) {
      case "const":
        return parsed(make.intConst(type, type === "void" ? 0n : BigInt.asUintN(widthOf[type], s.bigint()), NO_LOC));
      case "fconst":
        return parsed(make.floatConst(s.float(), NO_LOC));
      case "symbol":
        return parsed(make.symbol(s.symbol(), s.addend(), NO_LOC));
      case "dbg":
        return this.#debugValue(s);
      case "param":
        return parsed(make.param(type, s.number(), name(), NO_LOC));
      case "alloca":
        return parsed(make.alloca(...sized(), name(), NO_LOC));
      case "copy":
        return parsed(make.copy(LATER, LATER, ...sized(), NO_LOC));
      case "zero":
        return parsed(make.zero(LATER, ...sized(), NO_LOC));
      case "load":
        operands();
        return parsed(make.load(type, LATER, s.take("volatile"), NO_LOC));
      case "store":
        operands();
        return parsed(make.store(LATER, LATER, s.take("volatile"), NO_LOC));
      case "call": {
        const symbol = s.symbol();
        s.expect("(");
        list(")");
        return parsed(make.call(symbol, type, [], NO_LOC));
      }
      case "asm":
        s.expect("(");
        list(")");
        return parsed(make.asm(reviveAsm(s.json()), type, [], NO_LOC));
      case "phi":
        s.expect("[");
        list("]");
        return parsed(make.phi(type, [], name(), NO_LOC));
      case "jump":
        return parsed(make.jump(block(), NO_LOC));
      case "branch": {
        operands();
        s.expect("?");
        const whenTrue = block();
        s.expect(":");
        return parsed(make.branch(LATER, [whenTrue, block()], NO_LOC));
      }
      case "switch": {
        operands();
        const cases: bigint[] = [];
        const targets: Block[] = [];
        while (!s.take("else")) {
          cases.push(s.bigint());
          s.expect(":");
          targets.push(block());
          s.expect(",");
        }
        s.expect(":");
        return parsed(make.switch(LATER, cases, [...targets, block()], NO_LOC));
      }
      case "ret":
        operands();
        return parsed(make.ret([], NO_LOC));
      case "unreachable":
        return parsed(make.unreachable(NO_LOC));
      default:
        operands();
        return parsed(make.plain(op, type, [], NO_LOC));
    }
  }

  finish(): Func {
    this.func.nextId = Math.max(-1, ...this.#values.keys()) + 1;
    for (const { instr, ids, line } of this.#uses) {
      const values = ids.map((id) => {
        const value = this.#values.get(id);
        if (value === undefined && instr.op !== "dbg")
          throw new Error(`line ${line}: %${id} is not defined in ${this.func.name}`);
        return value as Instr;
      });
      // The watched value of a debug value may no longer exist.
      if (instr.op === "dbg") instr.debug.watched ??= values[0] ?? null;
      else instr.args = values;
      if (instr.id < 0) instr.id = this.func.nextId++;
    }
    for (const block of this.#blocks.values())
      if (!this.func.blocks.includes(block)) throw new Error(`${this.func.name}: b${block.id} has no label`);
    return this.func;
  }
  #blockOf(id: number): Block {
    let block = this.#blocks.get(id);
    if (block === undefined) this.#blocks.set(id, (block = new Block(id)));
    return block;
  }
}

/** JSON holds the bigints of an enumeration's values as text. */
function reviveType(value: unknown): DebugType {
  const type = value as DebugType;
  if (type.kind !== "enum") return type;
  return { ...type, values: type.values.map(({ name, value: v }) => ({ name, value: BigInt(v) })) };
}

function reviveConstant(value: unknown): DebugConstant {
  const constant = value as DebugConstant;
  return { ...constant, value: BigInt(constant.value) };
}

function reviveAsm(value: unknown): AsmBlock {
  const block = value as AsmBlock;
  const operands = block.operands.map(
    (o): AsmOperand => (o.kind === "const" ? { kind: "const", value: BigInt(o.value) } : o),
  );
  return { ...block, operands };
}

/** One line. */
class Scanner {
  readonly number1: number;
  readonly #text: string;
  #at = 0;
  constructor(text: string, line: number) {
    this.#text = text;
    this.number1 = line;
    this.#skip();
  }
  done(): boolean {
    return this.#at >= this.#text.length;
  }
  peek(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }
  take(text: string): boolean {
    if (!this.peek(text)) return false;
    if (/\w$/.test(text) && /\w/.test(this.#text[this.#at + text.length] ?? "")) return false;
    this.#at += text.length;
    this.#skip();
    return true;
  }
  expect(text: string): void {
    if (!this.take(text)) this.fail(`${text} expected`);
  }
  word(): string {
    return this.#match(/[A-Za-z0-9_]+/y, "word")[0];
  }
  number(): number {
    return Number(this.#match(/\d+/y, "number")[0]);
  }
  bigint(): bigint {
    const text = this.#match(/-?(0x[0-9a-fA-F]+|\d+)/y, "integer")[0];
    return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
  }
  float(): number {
    const text = this.#match(/0x[0-9a-f]+|-?[\d.]+(e[-+]?\d+)?/y, "float")[0];
    if (!text.startsWith("0x")) return Number(text);
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(text));
    return view.getFloat64(0);
  }
  type(): Type {
    return this.#match(/(void|i8|i16|i32|i64|f64)\b/y, "type")[0] as Type;
  }
  string(): string {
    return JSON.parse(this.#match(/"(?:[^"\\]|\\.)*"/y, "string")[0]) as string;
  }
  symbol(): string {
    const m = this.#match(/@(?:([\w.$]+)|("(?:[^"\\]|\\.)*"))/y, "@symbol");
    return m[1] ?? (JSON.parse(m[2]) as string);
  }
  addend(): bigint {
    return this.peek("+") || this.peek("-") ? BigInt(this.#match(/([+-]\d+)/y, "addend")[1].replace("+", "")) : 0n;
  }
  value(): number {
    return Number(this.#match(/%(\d+)/y, "%value")[1]);
  }
  block(): number {
    return Number(this.#match(/b(\d+)/y, "block")[1]);
  }
  label(): number | null {
    const m = /b(\d+):/y;
    m.lastIndex = this.#at;
    return m.test(this.#text) ? Number(this.#match(/b(\d+):/y, "label")[1]) : null;
  }
  position(same: Loc, none: Loc, scopes: readonly Scope[] = []): Loc {
    if (!this.peek("!") && !/^\d+:/.test(this.#text.slice(this.#at, this.#at + 12))) return same;
    const m = this.#match(/!?(?:(\d+):(\d+):(\d+)(?:@(\d+))?)?/y, "position");
    if (m[1] === undefined) return none;
    const loc = { file: Number(m[1]), line: Number(m[2]), column: Number(m[3]) };
    return m[4] === undefined ? loc : { ...loc, scope: scopes[Number(m[4])] };
  }
  /** A JSON object up to its closing brace. */
  json(): unknown {
    const start = this.#at;
    let depth = 0;
    let inString = false;
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at];
      if (inString) {
        if (c === "\\") this.#at++;
        else if (c === '"') inString = false;
      } else if (c === '"') inString = true;
      else if (c === "{") depth++;
      else if (c === "}" && --depth === 0) {
        const value: unknown = JSON.parse(this.#text.slice(start, ++this.#at));
        this.#skip();
        return value;
      }
    }
    return this.fail("JSON object expected");
  }
  fail(what: string): never {
    throw new Error(`line ${this.number1}: ${what} at "${this.#text.slice(this.#at, this.#at + 20)}"`);
  }
  #match(pattern: RegExp, what: string): RegExpExecArray {
    pattern.lastIndex = this.#at;
    const m = pattern.exec(this.#text);
    if (m === null) return this.fail(`${what} expected`);
    this.#at += m[0].length;
    this.#skip();
    return m;
  }
  #skip(): void {
    while (this.#text[this.#at] === " ") this.#at++;
  }
}
