/**
 * Diagnostics: `file:line:column: error MGnnnn: what is wrong; write … instead`. The table is the authority on
 * codes, which are stable: a retired code is not used again. MG0: the compile as a whole, MG1: constructs outside the
 * language, MG2: types, MG3: constants and static data, MG4: declarations and attributes, MG5: inline assembly, MG9:
 * the compiler itself.
 */
export interface Diagnostic {
  readonly code: string;
  readonly message: string;
  /** Relative to the package root; empty if no file is concerned. */
  readonly file: string;
  /** 1-based; 0 = none. */
  readonly line: number;
  readonly column: number;
}

export interface CodeInfo {
  readonly title: string;
  readonly explanation: string;
}

// biome-ignore format: a table
export const codes = {
  MG0001: { title: "no entry", explanation: "The entry symbol names no function of the program's modules." },
  MG0002: { title: "name defined twice", explanation: "Two functions or variables ask for one link name by attr({ symbol }) or @symbol." },
  MG0003: { title: "source file not found", explanation: "A root of the compile is not a readable file." },
  MG0004: { title: "link error", explanation: "A symbol that nothing defines, a field that its value does not fit, or a layout that does not hold the image." },
  MG0005: { title: "source nests too deeply", explanation: "Expressions, types and blocks nest at most a few hundred levels." },

  MG1001: { title: "top-level code", explanation: "Modules hold declarations; nothing runs when an image is loaded but its entry." },
  MG1002: { title: "closure", explanation: "Functions are declared at the top level or in a class; nothing captures variables." },
  MG1003: { title: "for…of and for…in", explanation: "There are no iterators; count with for (let i: u64 = 0; …)." },
  MG1004: { title: "exception", explanation: "There is no unwinding; return an errno or panic." },
  MG1005: { title: "generator or async function", explanation: "There is no run-time that could resume them." },
  MG1006: { title: "destructuring or spread", explanation: "Name the elements one by one." },
  MG1007: { title: "string outside cstr()", explanation: "Strings are bytes in memory: cstr(\"…\") is their address." },
  MG1008: { title: "optional chaining", explanation: "Test the pointer against null first." },
  MG1009: { title: "var", explanation: "Variables have block scope: let or const." },
  MG1010: { title: "exponentiation", explanation: "Not a machine operation; multiply or shift." },
  MG1011: { title: "loose equality", explanation: "=== and !== compare; == would suggest conversions." },
  MG1012: { title: "type assertion", explanation: "A conversion is written as a cast: u32(x) or cast<ptr<T>>(x)." },
  MG1013: { title: "typeof, instanceof, in, delete, void", explanation: "Values carry no type at run time." },
  MG1014: { title: "object or array literal without a place", explanation: "A literal initialises a declared variable or field; it is not a value." },
  MG1015: { title: "default, optional or rest parameter", explanation: "Every call passes every argument." },
  MG1016: { title: "overload", explanation: "A name is one function." },
  MG1017: { title: "interface, namespace or other declaration", explanation: "Structs are classes, modules are files." },
  MG1018: { title: "class member outside the language", explanation: "Classes have fields and methods: no constructors, accessors, static fields, index signatures or #private names." },
  MG1019: { title: "enum that is not const", explanation: "Only const enum: its members are constants and take no storage." },
  MG1020: { title: "overridden method", explanation: "Methods are called by their static type; there is no dispatch that an override could use." },
  MG1021: { title: "label or jump without a target", explanation: "break and continue leave the loops and switches around them." },
  MG1022: { title: "switch on other than integers and constants", explanation: "Cases are integer constants." },
  MG1023: { title: "expression outside the language", explanation: "See toolchain/README.md for what the language has." },
  MG1024: { title: "statement outside the language", explanation: "See toolchain/README.md for what the language has." },
  MG1025: { title: "nested declaration", explanation: "Functions, classes and enums stand at the top level of a module." },
  MG1026: { title: "super", explanation: "Call the base's method through this." },

  MG2001: { title: "narrowing or change of sign", explanation: "Only lossless conversions are implicit." },
  MG2002: { title: "mixed operands", explanation: "Operands unify only where one type widens losslessly to the other." },
  MG2003: { title: "widened result of narrow arithmetic", explanation: "The operation has wrapped before it is widened: widen an operand first." },
  MG2004: { title: "constant does not fit", explanation: "Literals are exact and must fit their context." },
  MG2005: { title: "wrong kind of value", explanation: "Integers, floats, booleans and pointers convert by casts only." },
  MG2006: { title: "different struct", explanation: "Structs are told apart by name, though TypeScript compares their shape." },
  MG2007: { title: "whole struct or array as a value", explanation: "Structs are passed by pointer and copied by copy()." },
  MG2008: { title: "type without a machine form", explanation: "Only machine types have a size." },
  MG2009: { title: "number without a width", explanation: "`number` is any number: say i64, u32, …" },
  MG2010: { title: "union", explanation: "Only `T | null` of a pointer or function pointer." },
  MG2011: { title: "missing type annotation", explanation: "Parameters, results and fields state their types." },
  MG2012: { title: "pointer arithmetic", explanation: "addr(p[n]) is the address n elements further." },
  MG2013: { title: "shift count", explanation: "A constant count is at least 0 and less than the width." },
  MG2014: { title: "condition", explanation: "Conditions are booleans, integers and pointers." },
  MG2015: { title: "not a place", explanation: "Only variables, fields and elements have an address and can be assigned." },
  MG2016: { title: "no such field or method", explanation: "The struct that the pointer points to does not have it." },
  MG2017: { title: "not callable", explanation: "Only functions, methods and function pointers can be called." },
  MG2018: { title: "type argument cannot be inferred", explanation: "Write it: f<T>(…)." },
  MG2019: { title: "struct that contains itself", explanation: "An inline field of the own type has no size; use a pointer." },
  MG2020: { title: "function pointer of another signature", explanation: "Parameter and result types must be the same to the machine; trailing parameters may be missing." },
  MG2021: { title: "index out of range", explanation: "A constant index lies inside the array." },
  MG2022: { title: "wrong number of arguments", explanation: "A call passes what the declaration says." },
  MG2023: { title: "assignment to a constant", explanation: "const variables of scalar type do not change." },
  MG2024: { title: "remainder of floats", explanation: "There is no machine operation for it." },
  MG2025: { title: "cast between types of other sizes", explanation: "cast<P>() reinterprets 64-bit integers, pointers and function pointers." },
  MG2026: { title: "atomic or volatile access of a whole struct", explanation: "Such an access is one machine access: 1, 2, 4 or 8 bytes." },

  MG3001: { title: "not a constant", explanation: "Static data, field initialisers and enum members are known to the compiler." },
  MG3002: { title: "constant in terms of itself", explanation: "The initialisers refer to each other in a circle." },
  MG3003: { title: "division by the constant zero", explanation: "It would always trap." },
  MG3004: { title: "inexact enum member", explanation: "TypeScript computes enum members in doubles and 32-bit shifts; write the value in hex, or a typed const." },
  MG3005: { title: "constant too large", explanation: "Constants are exact, but not without bound." },
  MG3006: { title: "address in a narrow field", explanation: "A relocation fills 8 bytes." },
  MG3007: { title: "wrong number of elements", explanation: "An array literal has as many elements as the array." },
  MG3008: { title: "unknown field in a literal", explanation: "The struct does not have it." },
  MG3009: { title: "variable without a value", explanation: "Write a type, an initialiser, or both; static structs take new C() or zeroed()." },

  MG4001: { title: "attr() out of place", explanation: "attr({…}) is the first statement of a function; its values are literals." },
  MG4002: { title: "naked function with code", explanation: "A naked function has no frame: its body is attr() and asm only, its operands are constants and symbols." },
  MG4003: { title: "unknown tag, decorator or value", explanation: "Static variables take @section, @align, @symbol, @keep; classes and fields @packed and @align(n)." },
  MG4004: { title: "alignment", explanation: "A power of two." },
  MG4005: { title: "no body", explanation: "A function without a body is declared with `declare` and defined under that link name elsewhere." },
  MG4006: { title: "16- or 32-bit code outside a naked function", explanation: "The compiler makes 64-bit code; other modes are assembly." },

  MG5001: { title: "assembly", explanation: "The template does not parse or no instruction has this form." },
  MG5002: { title: "result of assembly", explanation: "asm<T> needs ${ret} in its text or { out } in its options, and only asm<T> may have them." },
  MG5003: { title: "operand of assembly", explanation: "Operands are scalars, constants, functions and static variables." },
  MG5004: { title: "options of assembly", explanation: "An object literal with in, out and clobber." },

  MG9999: { title: "internal error", explanation: "A defect of the compiler; please report the source that shows it." },
} as const satisfies Record<string, CodeInfo>;
export type Code = keyof typeof codes;

export function formatDiagnostic(d: Diagnostic): string {
  const where = d.file ? `${d.file}:${d.line}:${d.column}: ` : "";
  return `${where}error ${d.code}: ${d.message}`;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
/** Sorted by file, position and code, without duplicates. */
export function sortDiagnostics(list: readonly Diagnostic[]): Diagnostic[] {
  const sorted = [...list].sort(
    (a, b) =>
      compareText(a.file, b.file) ||
      a.line - b.line ||
      a.column - b.column ||
      compareText(a.code, b.code) ||
      compareText(a.message, b.message),
  );
  return sorted.filter((d, i) => i === 0 || formatDiagnostic(d) !== formatDiagnostic(sorted[i - 1] as Diagnostic));
}

/** Thrown to abandon a construct that was refused; the diagnostic has already been reported. */
export class Refused extends Error {
  constructor() {
    super("refused");
  }
}
