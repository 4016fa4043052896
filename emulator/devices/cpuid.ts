/**
 * The processor that CPUID reports: QEMU 7.2's qemu64 under TCG, recorded from a microvm, without features that this
 * machine lacks or does not need: SVM, the hypervisor leaves, the cache leaves. Like qemu64 it has no x2APIC, no TSC
 * deadline and no AVX. Added: FSGSBASE, SMEP, SMAP and UMIP (QEMU has them with `-cpu qemu64,+smep,…`). Source of the
 * bit names: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
 */

type Leaf = readonly [number, number, number, number];
const zero: Leaf = [0, 0, 0, 0];

const HIGHEST_BASIC = 0xd;
const HIGHEST_EXTENDED = 0x8000_0008;

const Feature1Ecx = { SSE3: 1 << 0, CX16: 1 << 13, HYPERVISOR: 0x8000_0000 } as const;
/** FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2. */
const FEATURES_1_EDX = 0x078b_fbfd;
/** SYSCALL, NX and LM, and the copies of leaf 1. */
const FEATURES_8000_0001_EDX = 0x2193_fbfd;
/** Leaf 7, subleaf 0. */
const Feature7Ebx = { FSGSBASE: 1 << 0, SMEP: 1 << 7, SMAP: 1 << 20 } as const;
const Feature7Ecx = { UMIP: 1 << 2 } as const;
/** Leaf 1, EDX. */
const FEATURE_APIC = 1 << 9;
const LAHF_64 = 1;

function text(value: string): number[] {
  const bytes = new DataView(new ArrayBuffer(value.length));
  for (let i = 0; i < value.length; i++) bytes.setUint8(i, value.charCodeAt(i));
  return Array.from({ length: value.length / 4 }, (_, i) => bytes.getUint32(i * 4, true));
}
const [vendorA, vendorB, vendorC] = text("AuthenticAMD");
const brand = text("Margay virtual CPU, 1 GHz".padEnd(48, "\0"));

export class CpuidModel {
  private readonly leaves = new Map<number, Leaf>();
  private readonly leaf1: Leaf[] = [];

  constructor(cores: number) {
    const leaves = this.leaves;
    leaves.set(0x0, [HIGHEST_BASIC, vendorA, vendorC, vendorB]);
    const ecx = (Feature1Ecx.SSE3 | Feature1Ecx.CX16 | Feature1Ecx.HYPERVISOR) >>> 0;
    // EBX: APIC id, logical processors, cache line of 8 × 8 bytes. EDX bit 28 (HTT): more than one logical processor.
    const edx = FEATURES_1_EDX | (cores > 1 ? 0x1000_0000 : 0);
    for (let id = 0; id < cores; id++)
      this.leaf1.push([0x0006_0fb1, ((id << 24) | (cores << 16) | 0x0800) >>> 0, ecx, edx]);
    leaves.set(7, [0, Feature7Ebx.FSGSBASE | Feature7Ebx.SMEP | Feature7Ebx.SMAP, Feature7Ecx.UMIP, 0]);
    leaves.set(0x8000_0000, [HIGHEST_EXTENDED, vendorA, vendorC, vendorB]);
    leaves.set(0x8000_0001, [0x0006_0fb1, 0, LAHF_64, FEATURES_8000_0001_EDX]);
    for (let i = 0; i < 3; i++)
      leaves.set(0x8000_0002 + i, [brand[4 * i], brand[4 * i + 1], brand[4 * i + 2], brand[4 * i + 3]]);
    // 40 physical and 48 linear address bits; ECX: cores - 1.
    leaves.set(0x8000_0008, [0x3028, 0, cores - 1, 0]);
  }

  read(core: number, leaf: number, subleaf: number, hasApic = true): Leaf {
    leaf >>>= 0;
    if (leaf === 7 && subleaf !== 0) return zero;
    if (leaf === 1) {
      const [eax, ebx, ecx, edx] = this.leaf1[core];
      return hasApic ? this.leaf1[core] : [eax, ebx, ecx, edx & ~FEATURE_APIC];
    }
    return this.leaves.get(leaf) ?? zero;
  }
}
