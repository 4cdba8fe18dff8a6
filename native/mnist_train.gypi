# The build that users run, through node-gyp. native/CMakeLists.txt is the developers' build of the same sources; a test
# keeps the lists equal.
#
# One static library per instruction set: gyp has no flags per file, and code built for AVX-512 must not be what the
# linker picks for a processor without it. Paths are relative to this file.
{
  'variables': {
    # Contraction would fuse multiplications and additions that docs/numerics.md rounds one by one. Nothing throws, so no
    # stack is unwound: the tables for that would be a twentieth of the package.
    'mnist_train_flags': ['-std=c++17', '-fno-asynchronous-unwind-tables', '-ffp-contract=off', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden', '-ffunction-sections', '-Wall', '-Wextra'],
  },
  'target_defaults': {
    'defines': ['NDEBUG', 'NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
    'cflags!': ['-O2', '-fno-omit-frame-pointer'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fexceptions', '-frtti'],
    'cflags_cc': ['<@(mnist_train_flags)'],
    'xcode_settings': {
      'OTHER_CPLUSPLUSFLAGS': ['<@(mnist_train_flags)'],
      'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
      'GCC_ENABLE_CPP_RTTI': 'NO',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
    },
    'msvs_settings': {
      'VCCLCompilerTool': { 'AdditionalOptions': ['/std:c++17', '/fp:precise', '/O2'], 'ExceptionHandling': '0' },
    },
  },
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'mnist_train_avx2',
          'type': 'static_library',
          'sources': ['targets/avx2.cc'],
          'cflags_cc': ['-O3', '-mavx2', '-mfma'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-O3', '-mavx2', '-mfma'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX2'], 'WholeProgramOptimization': 'false' } },
          'win_delay_load_hook': 'false',
        },
        {
          'target_name': 'mnist_train_avx512',
          'type': 'static_library',
          'sources': ['targets/avx512.cc'],
          # gcc 12 warns of its own header's deliberately undefined vectors (gcc bug 105593).
          'cflags_cc': ['-O3', '-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', '-Wno-uninitialized', '-Wno-maybe-uninitialized'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-O3', '-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX512'], 'WholeProgramOptimization': 'false' } },
          'win_delay_load_hook': 'false',
        },
      ],
    }],
    ['target_arch=="arm64"', {
      'targets': [
        {
          'target_name': 'mnist_train_neon',
          'type': 'static_library',
          'sources': ['targets/neon.cc'],
          'cflags_cc': ['-O3'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-O3'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'WholeProgramOptimization': 'false' } },
          'win_delay_load_hook': 'false',
        },
      ],
    }],
  ],
  'targets': [
    {
      'target_name': 'mnist_train',
      'sources': [
        'addon/addon.cc',
        'addon/data_object.cc',
        'addon/keep_loaded.cc',
        'addon/measure_peak.cc',
        'addon/session_object.cc',
        'addon/thread_budget_exports.cc',
        'engine/data.cc',
        'engine/engine.cc',
        'engine/inference.cc',
        'engine/run.cc',
        'engine/job_queue.cc',
        'engine/ops.cc',
        'engine/ops_convolution.cc',
        'engine/ops_augment.cc',
        'engine/ops_batch_norm.cc',
        'engine/ops_elementwise.cc',
        'engine/ops_losses.cc',
        'engine/ops_optimizers.cc',
        'engine/ops_pooling.cc',
        'engine/ops_weights.cc',
        'engine/peak.cc',
        'engine/program.cc',
        'engine/program_checks.cc',
        'engine/schedule.cc',
        'engine/thread.cc',
        'engine/thread_budget.cc',
        'engine/thread_team.cc',
        'targets/cpu_features.cc',
        'targets/dispatch.cc',
      ],
      'defines': ['MNIST_TRAIN_VERSION="<!(node -p "require(\'mnist-train/package.json\').version")"'],
      # The time is spent in the kernels. What calls them was measured to be as fast when it is small, at half the size.
      'cflags_cc': ['-Os'],
      'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-Os'] },
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'conditions': [
        ['target_arch=="x64"', { 'dependencies': ['mnist_train_avx2', 'mnist_train_avx512'] }],
        ['target_arch=="arm64"', { 'dependencies': ['mnist_train_neon'] }],
        ['OS=="linux"', {
          'variables': { 'package': "<!(node -p \"require('path').dirname(require.resolve('mnist-train/package.json'))\")" },
          'ldflags': ['-Wl,--gc-sections', '-Wl,--version-script=<(package)/native/exports.map'],
        }],
      ],
    },
  ],
}
