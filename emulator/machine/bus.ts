/**
 * What the cores of a node see outside RAM: device memory, ports, and the MSRs and CPUID leaves that the machine
 * defines. Each access goes to its device. A read where there is no device gives all ones and is reported.
 */
import { IOAPIC_BASE, LAPIC_BASE, VIRTIO_MMIO_BASE } from "../abi/memory.ts";
import { MAILBOX_BASE } from "../abi/mailbox.ts";
import { DEBUG_EXIT_PORT, FW_CFG_DATA, FW_CFG_SELECTOR, I8042 } from "../abi/platform.ts";
import { UART_PORT } from "../abi/uart.ts";
import { VIRTIO_MMIO_BYTES } from "../abi/virtio.ts";
import { Msr } from "../abi/x86.ts";
import type { Bus, Core } from "../cpu/engine.ts";
import { CpuidModel } from "../devices/cpuid.ts";
import type { DebugExit } from "../devices/debugexit.ts";
import { hex } from "../devices/device.ts";
import type { FwCfg } from "../devices/fwcfg.ts";
import type { KeyboardController } from "../devices/i8042.ts";
import type { IoApic } from "../devices/ioapic.ts";
import type { LocalApic } from "../devices/lapic.ts";
import type { MailboxDevice } from "../devices/mailbox.ts";
import type { Uart16550 } from "../devices/uart.ts";
import type { VirtioMmioSlot } from "../devices/virtio-mmio.ts";
import { vectorName } from "../trace/decode.ts";

/** The devices, and `report` for what the guest does wrong (`rip`: where, if not at the running core's rip). */
export interface Devices {
  readonly lapics: readonly LocalApic[];
  readonly ioapic: IoApic;
  readonly uart: Uart16550;
  readonly keyboard: KeyboardController;
  readonly fwcfg: FwCfg;
  readonly debugExit: DebugExit;
  readonly virtio: readonly VirtioMmioSlot[];
  readonly mailbox: MailboxDevice;
  report(text: string, rip?: bigint): void;
}

const PAGE = 0x1000;
const APIC_BASE_BSP = 0x100n;
/** Global enable. If it is clear, the core has no local APIC. */
const APIC_BASE_ENABLE = 0x800n;
/** Bits 12 to 39. */
const ADDRESS_MASK = 0xff_ffff_f000n;

export class NodeBus implements Bus {
  private readonly cpuidModel: CpuidModel;

  /** May be called before the board is complete: the board is used only once a core runs. */
  constructor(
    private readonly board: Devices,
    cores: number,
  ) {
    this.cpuidModel = new CpuidModel(cores);
  }

  readMemory(core: Core, address: number, size: number): number {
    const page = address - (address % PAGE);
    if (page === LAPIC_BASE && this.board.lapics[core.index].isPresent)
      return this.board.lapics[core.index].read(address - page, size);
    if (page === IOAPIC_BASE) return this.board.ioapic.read(address - page, size);
    if (page === VIRTIO_MMIO_BASE) {
      const offset = address - page;
      return this.board.virtio[Math.floor(offset / VIRTIO_MMIO_BYTES)].read(offset % VIRTIO_MMIO_BYTES, size);
    }
    if (page === MAILBOX_BASE) return this.board.mailbox.read(address - page, size);
    this.board.report(`bus: read of ${size} bytes at physical 0x${address.toString(16)}, where nothing is`);
    return allOnes(size);
  }

  writeMemory(core: Core, address: number, size: number, value: number): void {
    const page = address - (address % PAGE);
    if (page === LAPIC_BASE && this.board.lapics[core.index].isPresent)
      this.board.lapics[core.index].write(address - page, size, value);
    else if (page === IOAPIC_BASE) this.board.ioapic.write(address - page, size, value);
    else if (page === VIRTIO_MMIO_BASE) {
      const offset = address - page;
      this.board.virtio[Math.floor(offset / VIRTIO_MMIO_BYTES)].write(offset % VIRTIO_MMIO_BYTES, size, value);
    } else if (page === MAILBOX_BASE) this.board.mailbox.write(address - page, size, value);
    else this.board.report(`bus: write of ${size} bytes at physical 0x${address.toString(16)}, where nothing is`);
  }

  readPort(_core: Core, port: number, size: number): number {
    if (port >= UART_PORT && port < UART_PORT + 8) return this.board.uart.read(port - UART_PORT, size);
    // biome-ignore format: one case a row
    switch (port) {
      case I8042.DATA: case I8042.COMMAND: return this.board.keyboard.read(port);
      case FW_CFG_SELECTOR: case FW_CFG_DATA: return this.board.fwcfg.read(port, size);
      case DEBUG_EXIT_PORT: return this.board.debugExit.read();
    }
    this.board.report(`bus: read of ${size} bytes from port ${hex(port)}, where nothing is`);
    return allOnes(size);
  }

  writePort(_core: Core, port: number, size: number, value: number): void {
    if (port >= UART_PORT && port < UART_PORT + 8) {
      this.board.uart.write(port - UART_PORT, size, value);
      return;
    }
    // biome-ignore format: one case a row
    switch (port) {
      case I8042.DATA: case I8042.COMMAND: this.board.keyboard.write(port, value); return;
      case FW_CFG_SELECTOR: case FW_CFG_DATA: this.board.fwcfg.write(port, size, value); return;
      case DEBUG_EXIT_PORT: this.board.debugExit.write(value); return;
    }
    this.board.report(`bus: write of ${size} bytes to port ${hex(port)}, where nothing is`);
  }

  /** An unknown MSR does not exist: the access raises #GP, and the kernel reports it. */
  readMsr(core: Core, index: number): bigint | undefined {
    return index === Msr.APIC_BASE ? apicBase(this.board.lapics[core.index]) : undefined;
  }

  writeMsr(core: Core, index: number, value: bigint): boolean {
    if (index !== Msr.APIC_BASE) return false;
    const lapic = this.board.lapics[core.index];
    const enable = (value & APIC_BASE_ENABLE) !== 0n;
    // CPUID shows no x2APIC, so its enable bit is reserved, like the bits below BSP and above MAXPHYADDR.
    if ((value & ~(ADDRESS_MASK | APIC_BASE_ENABLE | APIC_BASE_BSP)) !== 0n) return false;
    if ((value & ADDRESS_MASK) !== BigInt(LAPIC_BASE))
      this.board.report(`processor: APIC_BASE cannot be moved here: 0x${value.toString(16)}`);
    lapic.setPresent(enable);
    return true;
  }

  cpuid(core: Core, leaf: number, subleaf: number): readonly [number, number, number, number] {
    return this.cpuidModel.read(core.index, leaf, subleaf, this.board.lapics[core.index].isPresent);
  }

  doubleFault(_core: Core, first: number, second: number, rip: bigint): void {
    this.board.report(`processor: double fault: ${vectorName(second)} while ${vectorName(first)} was delivered`, rip);
  }

  readTaskPriority(core: Core): number {
    return this.board.lapics[core.index].taskPriorityClass;
  }

  writeTaskPriority(core: Core, value: number): void {
    this.board.lapics[core.index].taskPriorityClass = value;
  }
}

function apicBase({ core, isPresent }: LocalApic): bigint {
  return BigInt(LAPIC_BASE) | (isPresent ? APIC_BASE_ENABLE : 0n) | (core === 0 ? APIC_BASE_BSP : 0n);
}

function allOnes(size: number): number {
  return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
}
