/**
 * Python on Margay with code of other languages (requirement 3.2.3): extension modules written by hand in C, made by
 * SWIG from C and C++, made by f2py from Fortran; and numpy. Each script prints the same as on Linux.
 */
import { comparePrograms, type Program, PYTHON } from "./programs.ts";

const CONFIG = "/usr/bin/python3-config";
/** Suffix and flags of extension modules. */
const SHARED = `-O1 -shared -fPIC $(${CONFIG} --includes)`;

const BY_HAND = `
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static PyObject *fault;
static PyObject *dot(PyObject *self, PyObject *args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &a, &PyList_Type, &b)) return NULL;
  if (PyList_GET_SIZE(a) != PyList_GET_SIZE(b)) return PyErr_Format(fault, "%zd and %zd", PyList_GET_SIZE(a), PyList_GET_SIZE(b));
  double sum = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(a); i++)
    sum += PyFloat_AsDouble(PyList_GET_ITEM(a, i)) * PyFloat_AsDouble(PyList_GET_ITEM(b, i));
  return PyErr_Occurred() ? NULL : PyFloat_FromDouble(sum);
}
static PyMethodDef methods[] = {{"dot", dot, METH_VARARGS, "Inner product."}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "byhand", NULL, -1, methods};
PyMODINIT_FUNC PyInit_byhand(void) {
  PyObject *module = PyModule_Create(&definition);
  fault = PyErr_NewException("byhand.Fault", NULL, NULL);
  PyModule_AddObject(module, "Fault", fault);
  return module;
}
`;
const BY_HAND_SCRIPT = `
import byhand
print(byhand.dot([1.0, 2.0, 3.5], [2.0, 4.0, 8.0]), byhand.dot.__doc__)
try:
    byhand.dot([1.0], [])
except byhand.Fault as e:
    print("Fault", e)
try:
    byhand.dot(["x"], [1.0])
except TypeError as e:
    print("TypeError", e)
`;

const SWIG_C = `
%module counting
%{
#include <string.h>
typedef struct { int total; char name[16]; } Counter;
static void add(Counter *c, int n) { c->total += n; }
static int letters(const char *text) { return (int)strlen(text); }
%}
typedef struct { int total; char name[16]; } Counter;
void add(Counter *c, int n);
int letters(const char *text);
#define LIMIT 4096
`;
const SWIG_C_SCRIPT = `
import counting
c = counting.Counter()
c.total = 2
c.name = "first"
for i in range(10): counting.add(c, i)
print(c.total, c.name, counting.letters("extension"), counting.LIMIT)
try:
    counting.add(c, "x")
except TypeError as e:
    print(str(e).splitlines()[0])
`;

const SWIG_CXX = `
%module shapes
%include "std_vector.i"
%include "std_string.i"
%include "exception.i"
%exception {
  try { $action } catch (const std::exception &e) { SWIG_exception(SWIG_RuntimeError, e.what()); }
}
%{
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>
struct Shape {
  virtual ~Shape() {}
  virtual double area() const = 0;
};
struct Square : Shape {
  explicit Square(double side) : side(side) {}
  double area() const { return side * side; }
  double side;
};
double sum(const std::vector<double> &values) { return std::accumulate(values.begin(), values.end(), 0.0); }
std::vector<int> upTo(int n) {
  if (n < 0) throw std::out_of_range("below zero: " + std::to_string(n));
  std::vector<int> v(n);
  std::iota(v.begin(), v.end(), 1);
  return v;
}
%}
namespace std {
  %template(Ints) vector<int>;
  %template(Doubles) vector<double>;
}
struct Shape { virtual ~Shape(); virtual double area() const = 0; };
struct Square : Shape { explicit Square(double side); double side; };
double sum(const std::vector<double> &values);
std::vector<int> upTo(int n);
`;
const SWIG_CXX_SCRIPT = `
import shapes
print(shapes.sum([0.5, 1.5, 2.0]), list(shapes.upTo(5)), shapes.Square(3).area(), isinstance(shapes.Square(1), shapes.Shape))
try:
    shapes.upTo(-1)
except RuntimeError as e:
    print("RuntimeError", e)
`;

const FORTRAN = `
subroutine smooth(a, n, passes)
  integer, intent(in) :: n, passes
  real(8), intent(inout) :: a(n)
  real(8) :: b(n)
  integer :: p
  do p = 1, passes
    b = a
    a(2:n-1) = (b(1:n-2) + b(2:n-1) + b(3:n)) / 3
  end do
end subroutine
function trace(a, n) result(t)
  integer, intent(in) :: n
  real(8), intent(in) :: a(n, n)
  real(8) :: t
  integer :: i
  t = sum((/ (a(i, i), i = 1, n) /))
end function
`;
const FORTRAN_SCRIPT = `
import numpy, stencil
a = numpy.zeros(8)
a[3] = 27
stencil.smooth(a, 2)
print(a)
print(stencil.trace(numpy.arange(16.0).reshape(4, 4)))
try:
    stencil.trace(numpy.zeros((2, 3)), 5)
except Exception as e:
    print(type(e).__name__)
`;

const NUMPY = `
import numpy as np
a = np.arange(12.0).reshape(3, 4)
print(a @ a.T, a.sum(axis=0), np.linalg.det(a @ a.T + np.eye(3)).round(6))
print(np.linalg.solve(np.array([[3.0, 1], [1, 2]]), np.array([9.0, 8])))
print(np.abs(np.fft.fft(np.sin(np.arange(16) * np.pi / 4))).round(9))
print(np.random.default_rng(42).integers(0, 100, 8), np.sort(np.random.RandomState(1).rand(4)))
np.save("saved.npy", a)
m = np.load("saved.npy", mmap_mode="r")
print((m == a).all(), type(m).__name__, np.linalg.eigvalsh(a @ a.T).round(6))
print(np.array(["b", "a"], dtype="U1").argsort(), np.float32(1) / np.float32(3), np.int8(100).astype(np.uint8))
with np.errstate(divide="raise"):
    try:
        np.array([1.0]) / np.array([0.0])
    except FloatingPointError as e:
        print(e)
`;

const NUMPY_FOLDER = "/usr/lib/python3/dist-packages/numpy";
const python = (name: string, script: string, rest: Partial<Program>): Program => ({
  name,
  argv: [PYTHON, "-B", "script.py"],
  ...rest,
  files: { "script.py": script, ...rest.files },
});

comparePrograms([
  python("a module written in C", BY_HAND_SCRIPT, {
    files: { "byhand.c": BY_HAND },
    make: [`gcc ${SHARED} -o byhand.so byhand.c`],
    needs: [CONFIG, "gcc"],
  }),
  python("a module that SWIG makes from C", SWIG_C_SCRIPT, {
    files: { "counting.i": SWIG_C },
    make: ["swig -python counting.i", `gcc ${SHARED} -o _counting.so counting_wrap.c`],
    needs: [CONFIG, "gcc", "swig"],
  }),
  python("a module that SWIG makes from C++", SWIG_CXX_SCRIPT, {
    files: { "shapes.i": SWIG_CXX },
    make: ["swig -c++ -python shapes.i", `g++ ${SHARED} -o _shapes.so shapes_wrap.cxx`],
    needs: [CONFIG, "g++", "swig"],
  }),
  python("a module that f2py makes from Fortran", FORTRAN_SCRIPT, {
    files: { "stencil.f90": FORTRAN },
    make: [`${PYTHON} -m numpy.f2py --quiet -c stencil.f90 -m stencil`],
    needs: [CONFIG, "gcc", "gfortran", NUMPY_FOLDER],
  }),
  python("numpy", NUMPY, { needs: [NUMPY_FOLDER] }),
]);
