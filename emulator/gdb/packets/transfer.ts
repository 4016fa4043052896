/**
 * Documents that gdb reads in pieces (qXfer) and files that it may open (vFile): the target description, the threads
 * with their names, the memory map, the auxiliary vector, the path of the kernel and of the programs, and these files
 * themselves. gdb finds all symbols through these. Source: gdb manual, E.4 "qXfer", E.7 file I/O of the host, E.10
 * libraries, E.13 memory map, E.14 threads.
 */
import { auxiliaryVector } from "../auxiliary.ts";
import { bytesToBinary, PACKET_BYTES, parseSmallHex } from "../framing.ts";
import { processDescription, targetDescription } from "../registers.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";
import { coresOf, threadName } from "./threads.ts";

const MOST = PACKET_BYTES / 2 - 16;
const xmlText = (text: string): string =>
  text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\x20-\x7e\n]/g, (c) => `&#${c.codePointAt(0)};`);

/**
 * Every virtual address is RAM or nothing; the page tables decide what is mapped. The hole between the halves is left
 * out.
 */
const memoryMap = [
  `<?xml version="1.0"?>\n<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" "http://sourceware.org/gdb/gdb-memory-map.dtd">\n`,
  `<memory-map><memory type="ram" start="0x0" length="0x800000000000"/>`,
  `<memory type="ram" start="0xffff800000000000" length="0x800000000000"/></memory-map>\n`,
].join("");

function threadsDocument(session: Session): string {
  const rows = coresOf(session).map(
    (id) =>
      `<thread id="${session.threads.format(id)}" core="${id.core}" name="${xmlText(threadName(session, id))}"/>\n`,
  );
  return `<?xml version="1.0"?>\n<threads>\n${rows.join("")}</threads>\n`;
}
function librariesDocument(session: Session): string {
  const rows = session.target
    .libraries(session.general.nid)
    .map(
      (file) => `<library name="${xmlText(file.path)}"><segment address="0x${file.base.toString(16)}"/></library>\n`,
    );
  return `<?xml version="1.0"?>\n<library-list>\n${rows.join("")}</library-list>\n`;
}

/** By object: the document of an annex, undefined if there is none. */
const objects: Readonly<Record<string, (session: Session, annex: string) => string | Uint8Array | undefined>> = {
  features: (session, annex) =>
    annex !== "target.xml" ? undefined : session.target.system === false ? processDescription : targetDescription,
  threads: (session, annex) => (annex === "" ? threadsDocument(session) : undefined),
  "memory-map": (_stub, annex) => (annex === "" ? memoryMap : undefined),
  "exec-file": (session) => session.target.files[0]?.path,
  libraries: (session, annex) => (annex === "" ? librariesDocument(session) : undefined),
  auxv: (session, annex) =>
    annex !== ""
      ? undefined
      : auxiliaryVector((address, length) => session.target.read(session.general, address, length)),
};

/** `OBJECT:read:ANNEX:OFFSET,LENGTH` */
function transfer(session: Session, rest: string): Reply {
  const parts = /^([a-z-]+):read:(.*):([0-9a-f]+),([0-9a-f]+)$/is.exec(rest);
  const object = parts === null || !Object.hasOwn(objects, parts[1]!) ? undefined : objects[parts[1]!];
  if (parts === null || object === undefined) return "";
  const offset = parseSmallHex(parts[3], 0xffff_ffff);
  const length = parseSmallHex(parts[4], 0xffff_ffff);
  const document = object(session, parts[2]!);
  if (document === undefined) return "E00";
  if (offset === undefined || length === undefined) return Failure.INVALID;
  const bytes = typeof document === "string" ? Buffer.from(document, "utf8") : document;
  const piece = bytes.subarray(offset, offset + Math.min(length, MOST));
  return `${offset + piece.length >= bytes.length ? "l" : "m"}${bytesToBinary(piece)}`;
}

// ---- files ---------------------------------------------------------------------------------------------------------

/**
 * Only the files that the target names and its processes' `/proc/PID` can be opened, and only for reading. Descriptor n
 * is the n-th of the named files; those of processes follow.
 */
const ENOENT = 2;
const EBADF = 9;
const EMFILE = 24;
const EINVAL = 0x16;
const EROFS = 30;
const failed = (errno: number): string => `F-1,${errno.toString(16)}`;
const O_ACCMODE = 3;
const MOST_OPEN = 64;
const processPath = /^\/proc\/(\d{1,5})\/([a-z]+)$/;

const pathOf = (hex: string): string =>
  /^(?:[0-9a-f]{2})*$/i.test(hex) ? Buffer.from(hex, "hex").toString("utf8") : "";
const bytesOf = (session: Session, fd: number | undefined): Uint8Array | undefined =>
  fd === undefined ? undefined : (session.target.files[fd]?.bytes ?? session.openFiles.get(fd));

function open(session: Session, rest: string): Reply {
  const [name, flags] = rest.split(",");
  const path = pathOf(name!);
  const mode = parseSmallHex(flags, 0xffff_ffff);
  if (mode === undefined) return failed(EINVAL);
  const { files } = session.target;
  let fd = files.findIndex((file) => file.path === path);
  const [, pid, file] = processPath.exec(path) ?? [];
  const bytes = file === undefined ? undefined : session.target.processFile?.(Number(pid), file);
  if (fd < 0 && bytes === undefined) return failed(ENOENT);
  if ((mode & O_ACCMODE) !== 0) return failed(EROFS);
  if (bytes !== undefined) {
    if (session.openFiles.size === MOST_OPEN) return failed(EMFILE);
    for (fd = files.length; session.openFiles.has(fd); ) fd++;
    session.openFiles.set(fd, bytes);
  }
  return `F${fd.toString(16)}`;
}
function readLink(session: Session, rest: string): Reply {
  const [, pid, file] = processPath.exec(pathOf(rest)) ?? [];
  const link = file === undefined ? undefined : session.target.processLink?.(Number(pid), file);
  if (link === undefined) return failed(ENOENT);
  const bytes = Buffer.from(link, "utf8");
  return `F${bytes.length.toString(16)};${bytesToBinary(bytes)}`;
}
function close(session: Session, rest: string): Reply {
  const fd = parseSmallHex(rest, 0xffff_ffff);
  if (bytesOf(session, fd) === undefined) return failed(EBADF);
  session.openFiles.delete(fd!);
  return "F0";
}
function pread(session: Session, rest: string): Reply {
  const [fd, count, offset] = rest.split(",").map((part) => parseSmallHex(part, 0xffff_ffff));
  const file = bytesOf(session, fd);
  if (file === undefined) return failed(EBADF);
  if (count === undefined || offset === undefined) return failed(EINVAL);
  const bytes = file.subarray(offset, offset + Math.min(count, MOST));
  return `F${bytes.length.toString(16)};${bytesToBinary(bytes)}`;
}
/** struct stat of the protocol: big-endian, 64 bytes; only mode and size are filled in. */
function fstat(session: Session, rest: string): Reply {
  const file = bytesOf(session, parseSmallHex(rest, 0xffff_ffff));
  if (file === undefined) return failed(EBADF);
  const stat = Buffer.alloc(64);
  stat.writeUInt32BE(0o100444, 8);
  stat.writeUInt32BE(1, 12);
  stat.writeBigUInt64BE(BigInt(file.length), 28);
  stat.writeBigUInt64BE(512n, 36);
  stat.writeBigUInt64BE(BigInt(Math.ceil(file.length / 512)), 44);
  return `F${stat.length.toString(16)};${bytesToBinary(stat)}`;
}

export const transferPackets: readonly PacketRow[] = [
  { prefix: "qXfer:", answer: transfer },
  { prefix: "vFile:setfs:", answer: () => "F0" },
  { prefix: "vFile:open:", answer: open },
  { prefix: "vFile:pread:", answer: pread },
  { prefix: "vFile:fstat:", answer: fstat },
  { prefix: "vFile:readlink:", answer: readLink },
  { prefix: "vFile:close:", answer: close },
];
