/**
 * Files of a task that stay open because the task has mapped them, whatever its descriptors do; and the names of all
 * files that it has mapped, for /proc/self/maps.
 */
import { Errno } from "../abi/errno.ts";
import { type DescriptorTable, mayWrite, type OpenFile } from "./descriptors.ts";
import { IoError } from "./hostfs.ts";

/** Most names that are kept; later ones are not shown. */
const NAMES_MAX = 4096;

export class MappedFiles {
  private readonly files = new Map<number, OpenFile>();
  private readonly byIdentity = new Map<string, number>();
  private lastHandle = 0;
  /** In the order of their numbers, which start at 1. */
  private readonly names: OpenFile[] = [];

  constructor(private readonly table: DescriptorTable) {}

  /** The handle for the file; one for all that are open on the same file, which allows what one of them allows. */
  hold(file: OpenFile): number {
    const known = this.byIdentity.get(file.identity);
    const before = known === undefined ? undefined : this.files.get(known);
    if (known !== undefined && before !== undefined && (mayWrite(before) || !mayWrite(file))) return known;
    const handle = known ?? ++this.lastHandle;
    this.table.hold(file);
    this.files.set(handle, file);
    this.byIdentity.set(file.identity, handle);
    if (before !== undefined) this.table.letGo(before);
    return handle;
  }
  /** @throws IoError EBADF */
  get(handle: number): OpenFile {
    const file = this.files.get(handle);
    if (file === undefined) throw new IoError(Errno.EBADF);
    return file;
  }
  /** @throws IoError EBADF */
  release(handle: number): void {
    const file = this.get(handle);
    this.files.delete(handle);
    this.byIdentity.delete(file.identity);
    this.table.letGo(file);
  }
  has(identity: string): boolean {
    return this.byIdentity.has(identity);
  }
  closeAll(): void {
    for (const handle of [...this.files.keys()]) this.release(handle);
  }

  /** The number of the file's name; 0: too many. */
  name(file: OpenFile): number {
    const at = this.names.findIndex(({ path, identity }) => path === file.path && identity === file.identity);
    if (at >= 0) return at + 1;
    if (this.names.length >= NAMES_MAX) return 0;
    return this.names.push(file);
  }
  named(number: number): OpenFile | undefined {
    return this.names[number - 1];
  }
}
